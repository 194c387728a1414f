//! A .tar.gz, read once from its start to its end. Headers are read by hand as far as they can be long: what reads them for itself
//! takes as much memory as they claim.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;
use tar::{EntryType, PaxExtensions};

use super::Error;
use super::meter::Meter;

/// Bytes of a long name, and of what else is said of an entry.
const HEADER: u64 = 64 << 10;

pub(super) fn unpack(archive: &Path, meter: &mut Meter<'_, '_>) -> Result<(), Error> {
    let packed = Rc::new(Cell::new(0));
    let file = Counting { inner: File::open(archive).map_err(Error::Io)?, count: Rc::clone(&packed) };
    let unpacked = Rc::new(Cell::new(0));
    let stream = Counting { inner: MultiGzDecoder::new(BufReader::new(file)), count: Rc::clone(&unpacked) };
    let mut archive = tar::Archive::new(stream);
    let mut said = Said::default();
    for entry in archive.entries().map_err(Error::reading)?.raw(true) {
        let mut entry = entry.map_err(Error::reading)?;
        // What no file is made of counts, too.
        meter.check(unpacked.get(), packed.get())?;
        meter.entry()?;
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader | EntryType::XGlobalHeader) {
            let mut bytes = Vec::new();
            if entry.size() > HEADER {
                return Err(Error::entry(
                    &entry.path_bytes(),
                    "has a header of more than 64 KiB: make the archive with another program",
                ));
            }
            entry.read_to_end(&mut bytes).map_err(Error::reading)?;
            match kind {
                EntryType::GNULongName => said.name = Some(bytes.split(|&byte| byte == 0).next().unwrap_or_default().to_vec()),
                EntryType::XHeader => said.take(&bytes)?,
                _ => {}
            }
            continue;
        }
        let name = std::mem::take(&mut said).name.unwrap_or_else(|| entry.path_bytes().into_owned());
        match kind {
            // Old archives have folders as files whose names end so.
            EntryType::Regular | EntryType::Continuous if !name.ends_with(b"/") => {
                let size = entry.size();
                let mut content = entry.take(size);
                meter.file(&name, &mut content, &|| packed.get())?;
                if content.limit() > 0 {
                    return Err(Error::Damaged("it ends within a file".into()));
                }
            }
            EntryType::Directory | EntryType::Regular | EntryType::Continuous => meter.folder(&name)?,
            other => return Err(Error::entry(&name, refused(other))),
        }
    }
    Ok(())
}

fn refused(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Symlink | EntryType::Link => {
            "is a link: make the archive with the files themselves (`tar --dereference --hard-dereference`)"
        }
        EntryType::Char | EntryType::Block | EntryType::Fifo => "is a device or a pipe, and no file: leave it out",
        _ => "is of a kind that is not read here: make the archive without `--sparse`",
    }
}

/// What headers said of the next entry.
#[derive(Default)]
struct Said {
    name: Option<Vec<u8>>,
}

impl Said {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Error> {
        for extension in PaxExtensions::new(bytes) {
            let extension = extension.map_err(Error::reading)?;
            match extension.key_bytes() {
                b"path" => self.name = Some(extension.value_bytes().to_vec()),
                // Of files too large for the plain header.
                b"size" => return Err(Error::Damaged("it has a file of 8 GiB or more".into())),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Counts what is read.
struct Counting<R> {
    inner: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.set(self.count.get() + read as u64);
        Ok(read)
    }
}
