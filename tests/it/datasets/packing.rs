//! Archives for tests, good ones and such as no program makes.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};

/// A file in an archive.
pub(crate) type Entry = (String, Vec<u8>);

/// A zip written by hand.
#[derive(Default)]
pub(crate) struct Zip {
    body: Vec<u8>,
    directory: Vec<u8>,
    count: u16,
}

/// What is particular to an entry.
#[derive(Clone, Copy)]
pub(crate) struct Odd {
    pub(crate) mode: u32,
    pub(crate) method: u16,
    pub(crate) flags: u16,
    /// What the directory claims to be the length.
    pub(crate) claimed: Option<u32>,
}

pub(crate) const PLAIN: Odd = Odd { mode: 0o100_644, method: 8, flags: 0x800, claimed: None };

impl Zip {
    pub(crate) fn add(mut self, name: &[u8], content: &[u8], odd: Odd) -> Self {
        let packed = if odd.method == 8 {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        } else {
            content.to_vec()
        };
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let offset = self.body.len() as u32;
        let size = odd.claimed.unwrap_or(content.len() as u32);
        let mut common = Vec::new();
        for number in [20, odd.flags, odd.method, 0, 0x21] {
            common.extend(number.to_le_bytes());
        }
        for number in [crc.sum(), packed.len() as u32, size] {
            common.extend(number.to_le_bytes());
        }
        common.extend((name.len() as u16).to_le_bytes());
        self.body.extend(b"PK\x03\x04");
        self.body.extend(&common);
        self.body.extend([0, 0]);
        self.body.extend(name);
        self.body.extend(&packed);
        self.directory.extend(b"PK\x01\x02");
        self.directory.extend([20, 3]);
        self.directory.extend(&common);
        self.directory.extend([0; 8]);
        self.directory.extend((odd.mode << 16).to_le_bytes());
        self.directory.extend(offset.to_le_bytes());
        self.directory.extend(name);
        self.count += 1;
        self
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        let Self { mut body, directory, count } = self;
        let (start, size) = (body.len() as u32, directory.len() as u32);
        body.extend(directory);
        body.extend(b"PK\x05\x06\0\0\0\0");
        body.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
        body.extend([size.to_le_bytes(), start.to_le_bytes()].concat());
        body.extend([0, 0]);
        body
    }
}

pub(crate) fn zip(entries: &[Entry]) -> Vec<u8> {
    entries.iter().fold(Zip::default(), |zip, (name, content)| zip.add(name.as_bytes(), content, PLAIN)).finish()
}

pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// One header and its content.
pub(crate) fn tar_entry(name: &[u8], kind: u8, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_cksum();
    let mut bytes = [header.as_bytes(), content].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

pub(crate) fn tar_gz(entries: &[Entry]) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        // Long names become an entry of their own.
        archive.append_data(&mut header, name, content.as_slice()).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}
