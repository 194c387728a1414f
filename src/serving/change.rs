//! What an operator changes: which version answers, and which are there. One change at a time, each to its end, whether or not
//! whoever asked is still there; a version is chosen only once it is in memory and its canary has been answered.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::catalog::{Key, Known};
use super::models::{self, Listed, Models};
use super::served::Served;
use crate::checkpoint;
use crate::checkpoint::activation::{Activation, Origin};
use crate::checkpoint::atomic::{sync_folder, write_file};
use crate::checkpoint::store::{Source, check_name, version_path};

/// The names of the runs' own models begin so: their versions are epochs, and written by nobody else.
const RUNS: &str = "run-";

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such model, or the program is stopping.
    #[error(transparent)]
    Models(#[from] models::Error),
    /// It is there and cannot answer.
    #[error("version {version} of the model `{name}` cannot answer: {reason}. What answered before does so still")]
    Refused {
        /// The model.
        name: String,
        /// Its version.
        version: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// It answers.
    #[error("version {version} of the model `{name}` is the one that answers: activate another one first")]
    Active {
        /// The model.
        name: String,
        /// Its version.
        version: u64,
    },
    /// It is not ours to remove.
    #[error("version {version} of the model `{name}` is {place}: it cannot be deleted")]
    ReadOnly {
        /// The model.
        name: String,
        /// Its version.
        version: u64,
        /// Where it is.
        place: &'static str,
    },
    /// A name that nothing is copied to.
    #[error("models called `{RUNS}…` are the runs' own: copy it to another name")]
    Reserved,
    /// A name that has no room for versions.
    #[error(
        "the model `{name}` is the single file `{name}.safetensors`: move it to `{name}/1.safetensors`, and versions can follow"
    )]
    Single {
        /// The model.
        name: String,
    },
    /// The name, or two places of it, or the system.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
}

/// What is to answer where no version is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The highest version, whichever that is.
    Highest,
    /// This version.
    Version(u64),
    /// A copy of another model's version, or of the one that answers there, as the next version of this one.
    Copy {
        /// The other model.
        from: String,
        /// Its version.
        version: Option<u64>,
    },
}

impl Models {
    /// Lets `choice` answer for `name`, from now on and after a restart: loaded, warmed and tried first, then exchanged at once.
    pub async fn activate(self: &Arc<Self>, name: &str, choice: Choice) -> Result<Listed, Error> {
        let (this, name) = (Arc::clone(self), name.to_owned());
        to_its_end(async move {
            let _turn = this.changing.lock().await;
            this.look_since(Instant::now()).await?;
            match choice {
                Choice::Highest => {
                    this.wanted(&name, None)?;
                    this.write_down(&name, None).await?;
                    this.refresh().await?;
                }
                Choice::Version(version) => this.choose(&name, version, None).await?,
                Choice::Copy { from, version } => this.copy(&name, &from, version).await?,
            }
            let found = this.catalog.found();
            this.listed(&found, &name).ok_or(Error::Models(models::Error::Unusable { name }))
        })
        .await
    }

    /// Removes `version` of `name`, which does not answer, from the folder that may be written to.
    pub async fn remove(self: &Arc<Self>, name: &str, version: u64) -> Result<(), Error> {
        let (this, name) = (Arc::clone(self), name.to_owned());
        to_its_end(async move {
            let _turn = this.changing.lock().await;
            this.look_since(Instant::now()).await?;
            let store = this.catalog.store().clone();
            let entry = {
                let name = name.clone();
                blocking(move || store.find(&name)).await?
            };
            let source = entry.map_err(unknown)?.version(version).map_err(unknown)?.clone();
            if this.answers(&name, version) {
                return Err(Error::Active { name, version });
            }
            let path = match source {
                Source::Embedded(_) => return Err(Error::ReadOnly { name, version, place: "inside the program" }),
                source if !this.owns(&source) => {
                    return Err(Error::ReadOnly { name, version, place: "in the folder of shipped models, which is only read" });
                }
                Source::File(path) => path,
            };
            this.take_away(&name, vec![(version, path)]).await?;
            Ok(this.look_since(Instant::now()).await?)
        })
        .await
    }

    /// Removes those versions of `name` that are not among `kept`, nor newer than these, do not answer, are not in memory, and lie in
    /// the folder that may be written to. Says how many.
    pub async fn thin(self: &Arc<Self>, name: &str, kept: &BTreeSet<u64>) -> Result<usize, Error> {
        let found = self.catalog.found();
        let (Some(versions), Some(newest)) = (found.models.get(name), kept.last()) else { return Ok(0) };
        let spare =
            |known: &&Arc<Known>| !kept.contains(&known.key.version) && known.key.version < *newest && self.owns(&known.source);
        if !versions.values().any(|known| spare(&known)) {
            return Ok(0);
        }
        let _turn = self.changing.lock().await;
        let unused = |known: &&Arc<Known>| !self.answers(name, known.key.version) && self.cache.peek(&known.key).is_none();
        let spare = versions.values().filter(spare).filter(unused).filter_map(|known| match &known.source {
            Source::File(path) => Some((known.key.version, path.clone())),
            Source::Embedded(_) => None,
        });
        let spare: Vec<_> = spare.collect();
        let count = spare.len();
        if count > 0 {
            self.take_away(name, spare).await?;
            tracing::info!(model = name, versions = count, "epochs that the settings do not keep are removed");
        }
        Ok(count)
    }

    /// Whether somebody has a use for the model: it was activated, is the default, or is in memory.
    pub fn in_use(&self, name: &str) -> bool {
        let loaded = || self.cache.all().iter().any(|known| &*known.key.name == name);
        name == self.default_name() || self.active.chosen(name).is_some() || loaded()
    }

    /// Whether `version` answers, or is to; not one that was tried in vain.
    fn answers(&self, name: &str, version: u64) -> bool {
        let found = self.catalog.found();
        let wanted = self.active.wanted(&found, name).filter(|known| !found.doubts(known));
        let answering = self.active.answering(&found, name);
        let is = |known: Option<Arc<Known>>| known.is_some_and(|known| known.key.version == version);
        is(wanted) || is(answering)
    }

    async fn take_away(&self, name: &str, files: Vec<(u64, PathBuf)>) -> Result<(), Error> {
        let shared: Arc<str> = name.into();
        for (version, _) in &files {
            let key = Key { name: Arc::clone(&shared), version: *version };
            self.cache.retain(|other| *other != key);
        }
        let own = self.data_dir.join("models");
        blocking(move || files.iter().try_for_each(|(_, path)| unlink(path, &own))).await?.map_err(Error::from)
    }

    /// `version` of `name`, in memory and tried.
    async fn ready(self: &Arc<Self>, name: &str, version: u64) -> Result<Arc<Served>, Error> {
        loop {
            let found = self.catalog.found();
            let key = Key { name: name.into(), version };
            if let Some(fault) = found.broken.get(&key) {
                return Err(Error::Refused { name: name.into(), version, reason: fault.reason.clone() });
            }
            let known = self.wanted(name, Some(version))?;
            let at_hand = self.cache.get(&key, false).filter(|served| served.known.stamp == known.stamp);
            if let Some(served) = at_hand {
                return Ok(served);
            }
            // What fails is among the broken ones then, and what is gone among none; what landed may be an earlier file's.
            if let Ok(served) = self.fly(&known).land().await.ok_or(models::Error::Stopped)?
                && served.known.stamp == known.stamp
            {
                return Ok(served);
            }
        }
    }

    async fn choose(self: &Arc<Self>, name: &str, version: u64, from: Option<Origin>) -> Result<(), Error> {
        let served = self.ready(name, version).await?;
        let choice = Activation { version, at: jiff::Timestamp::now().to_string(), from };
        self.write_down(name, Some(choice)).await?;
        tracing::info!(model = name, version, "a version is activated");
        self.exchange(&served);
        Ok(())
    }

    async fn write_down(self: &Arc<Self>, name: &str, choice: Option<Activation>) -> Result<(), Error> {
        let (this, name) = (Arc::clone(self), name.to_owned());
        Ok(blocking(move || this.active.choose(&name, choice)).await??)
    }

    async fn copy(self: &Arc<Self>, name: &str, from: &str, version: Option<u64>) -> Result<(), Error> {
        check_name(name)?;
        if name.starts_with(RUNS) {
            return Err(Error::Reserved);
        }
        let source = match version {
            Some(version) => Arc::clone(&self.ready(from, version).await?.known),
            None => self.wanted(from, None)?,
        };
        let origin = Origin { name: from.into(), version: source.key.version };
        let (this, to) = (Arc::clone(self), name.to_owned());
        let next = blocking(move || this.put(&to, &source)).await??;
        self.look_since(Instant::now()).await?;
        let chosen = self.choose(name, next, Some(origin)).await;
        if chosen.is_err() {
            let path = version_path(&self.data_dir.join("models"), name, next);
            self.take_away(name, vec![(next, path)]).await?;
            self.look_since(Instant::now()).await?;
        }
        chosen
    }

    /// Writes the file that is known as the next version of `name`, and says which that is. Where the folder hides a shipped model by
    /// it, that model's versions are copied as well: going back is an activation then. Blocks.
    fn put(&self, name: &str, known: &Known) -> Result<u64, Error> {
        let own = self.data_dir.join("models");
        if own.join(format!("{name}.safetensors")).is_file() {
            return Err(Error::Single { name: name.into() });
        }
        let bytes = whole(known)?;
        let store = self.catalog.store();
        let next = store.next_version(name)?;
        let folder = own.join(name);
        let hidden = store.find(name).map_or_else(|_| Vec::new(), |entry| entry.versions.into_iter().collect());
        let hidden: Vec<(u64, Source)> = hidden.into_iter().filter(|(_, source)| !self.owns(source)).collect();
        if hidden.is_empty() {
            write(&version_path(&own, name, next), &bytes)?;
            sync_folder(&own).map_err(failed("write", &own))?;
            return Ok(next);
        }
        // All of them at once: a name has its versions in one place. What a crash leaves of it is swept at the next start.
        let new = own.join(format!(".{name}.new"));
        let _ = fs::remove_dir_all(&new);
        for (version, source) in hidden {
            write(&new.join(format!("{version}.safetensors")), &source.bytes()?)?;
        }
        write(&new.join(format!("{next}.safetensors")), &bytes)?;
        // It may be there, and hold no version.
        let _ = fs::remove_dir(&folder);
        fs::rename(&new, &folder).and_then(|()| sync_folder(&own)).map_err(failed("write", &folder))?;
        Ok(next)
    }
}

/// The bytes of the file that is known, a whole model, and the same before and after it was read.
fn whole(known: &Known) -> Result<Vec<u8>, Error> {
    let bytes = known.source.bytes()?;
    let whole = checkpoint::read(&bytes).map(drop);
    let whole = whole.and_then(|()| if known.source.stamp() == known.stamp { Ok(()) } else { Err(checkpoint::Error::Changing) });
    let refused = |e: checkpoint::Error| Error::Refused {
        name: known.key.name.to_string(),
        version: known.key.version,
        reason: e.without_place(),
    };
    whole.map_err(refused)?;
    Ok(bytes)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    Ok(write_file(path, bytes).map_err(failed("write", path))?)
}

/// Removes a version's file, and its folder below `own` if it was the last in it.
fn unlink(path: &Path, own: &Path) -> Result<(), checkpoint::Error> {
    if let Err(fault) = fs::remove_file(path)
        && fault.kind() != ErrorKind::NotFound
    {
        return Err(failed("remove", path)(fault));
    }
    let folder = path.parent().unwrap_or(own);
    // One that is not empty stays.
    let folder = if folder != own && fs::remove_dir(folder).is_ok() { own } else { folder };
    sync_folder(folder).map_err(failed("write", folder))
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> checkpoint::Error {
    move |fault| checkpoint::Error::Io { doing, path: path.into(), fault }
}

fn unknown(fault: checkpoint::Error) -> Error {
    match fault {
        checkpoint::Error::UnknownModel { .. } | checkpoint::Error::UnknownVersion { .. } => models::Error::Unknown(fault).into(),
        other => other.into(),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| models::Error::Stopped.into())
}

async fn to_its_end<T: Send + 'static>(work: impl Future<Output = Result<T, Error>> + Send + 'static) -> Result<T, Error> {
    tokio::spawn(work).await.map_err(|_| models::Error::Stopped)?
}

#[cfg(test)]
mod tests;
