//! What is downloaded, from where, and how long it is tried; shared by the parts of a fetch.

use std::time::Duration;

use super::cifar10;

/// Where CIFAR-10 is published.
pub const URL: &str = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz";

/// An archive, and what must be in it.
#[derive(Debug, Clone)]
pub struct Source {
    /// Where the `.tar.gz` is.
    pub url: String,
    /// Names of the files wanted of it and their SHA-256 in hexadecimal. Nothing else is unpacked.
    pub files: Vec<(String, String)>,
    /// How long to keep trying.
    pub patience: Patience,
}

impl Source {
    /// CIFAR-10's batches, from [`URL`] or another place that has the same archive.
    pub fn cifar10(url: &str) -> Self {
        let files = cifar10::FILES.map(|(name, digest)| (name.into(), digest.into())).to_vec();
        Self { url: url.into(), files, patience: Patience::default() }
    }
}

/// How long to keep trying.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Connections in all.
    pub attempts: u32,
    /// Connections in a row that brought nothing.
    pub fruitless: u32,
    /// Before the second try; doubled every time nothing comes, up to half a minute.
    pub pause: Duration,
    /// How long a connection may be silent.
    pub stall: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { attempts: 50, fruitless: 4, pause: Duration::from_secs(1), stall: Duration::from_secs(30) }
    }
}

/// What is going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The files are there and right: nothing is done.
    Present,
    /// Bytes of the archive so far, what an earlier try left included; `total` where the server says it.
    Downloading {
        /// So far.
        bytes: u64,
        /// In the end.
        total: Option<u64>,
    },
    /// The connection was lost, or could not be made; it is tried again.
    Retrying {
        /// Why.
        reason: String,
    },
    /// Files are taken out of the archive and verified.
    Unpacking,
}
