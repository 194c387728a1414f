//! The segments of a JPEG, walked before a decoder sees them: what it is, whether it is whole, and what does not belong in it.

use super::super::error::Error;
use super::super::format::Format;

const FORMAT: Format = Format::Jpeg;
/// Writers make some dozens at most; hundreds only cost time.
const MOST_SCANS: usize = 500;

const SOF0: u8 = 0xC0;
const SOF1: u8 = 0xC1;
const SOF2: u8 = 0xC2;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const APP1: u8 = 0xE1;

/// A marker and what belongs to it.
pub(super) struct Segment<'a> {
    marker: u8,
    /// Marker, length and parameters.
    pub(super) head: &'a [u8],
    /// The entropy-coded data behind the head of a scan.
    pub(super) data: &'a [u8],
}

/// The segments of a file from behind its SOI to EOI, or to where it is cut off.
pub(super) struct Segments<'a>(&'a [u8]);

impl<'a> Segments<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes.get(2..).unwrap_or_default())
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        // Whatever stands between segments is passed over, as browsers do: fill bytes, zeros, another SOI.
        let stray = self.0.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xD8 | 0xFF))?;
        let rest = &self.0[stray..];
        let marker = rest[1];
        let length = match marker {
            0x01 | 0xD0..=EOI => 0,
            _ => usize::from(u16::from_be_bytes(*rest.get(2..)?.first_chunk()?)).max(2),
        };
        let (head, rest) = rest.split_at_checked(2 + length)?;
        let (data, rest) = rest.split_at(if marker == SOS { coded(rest) } else { 0 });
        self.0 = if marker == EOI { &[] } else { rest };
        Some(Segment { marker, head, data })
    }
}

/// How many bytes of `rest` are a scan's: up to a marker that is no restart.
fn coded(rest: &[u8]) -> usize {
    let end = rest.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xD0..=0xD7 | 0xFF));
    end.unwrap_or(rest.len())
}

/// What the segments of a file say.
#[derive(Debug, Default)]
pub(super) struct Layout<'a> {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) components: Vec<Component>,
    /// Several scans refine one another, each a part of the frequencies.
    pub(super) progressive: bool,
    /// Sequential beyond baseline: more tables.
    pub(super) extended: bool,
    /// How many scans there are, as far as the file goes.
    pub(super) scans: usize,
    /// A component that is in a scan, and one that has a scan of its own.
    seen: [bool; 4],
    lone: [bool; 4],
    /// Whether the end marker is there.
    ended: bool,
    pub(super) exif: Option<&'a [u8]>,
}

/// A colour component of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Component {
    id: u8,
    /// Blocks across and down in a unit of interleaved data.
    pub(super) sampling: (u8, u8),
}

impl<'a> Layout<'a> {
    /// Reads what `bytes` hold; an error where they hold no frame and scan that is read here.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut layout = Self::default();
        for segment in Segments::of(bytes) {
            let parameters = segment.head.get(4..).unwrap_or_default();
            match segment.marker {
                SOF0..=0xCF if !matches!(segment.marker, 0xC4 | 0xC8 | 0xCC) => layout.frame(segment.marker, parameters)?,
                SOS => layout.scan(parameters)?,
                APP1 if layout.exif.is_none() && parameters.starts_with(b"Exif\0\0") => layout.exif = Some(parameters),
                EOI => layout.ended = true,
                _ => {}
            }
        }
        if layout.scans == 0 {
            return Err(Error::Truncated { format: FORMAT });
        }
        Ok(layout)
    }

    fn frame(&mut self, marker: u8, parameters: &[u8]) -> Result<(), Error> {
        let unreadable = |reason| Err(Error::unreadable(FORMAT, reason));
        match marker {
            SOF0..=SOF2 => {}
            0xC3 => return unreadable("it is lossless JPEG"),
            0xC9..=0xCB => return unreadable("it is coded arithmetically"),
            _ => return unreadable("it is hierarchical JPEG"),
        }
        let &[precision, h0, h1, w0, w1, count, ref rest @ ..] = parameters else { return unreadable("its frame is damaged") };
        if !self.components.is_empty() {
            return unreadable("it has two frames");
        }
        if precision != 8 {
            return unreadable("it has 12 bits a sample");
        }
        (self.height, self.width) = (u16::from_be_bytes([h0, h1]).into(), u16::from_be_bytes([w0, w1]).into());
        if self.height == 0 || self.width == 0 {
            return unreadable("its size is not in its header");
        }
        let components = rest.as_chunks::<3>().0.iter().take(count.into());
        self.components = components.map(|&[id, factors, _]| Component { id, sampling: (factors >> 4, factors & 15) }).collect();
        if self.components.len() != usize::from(count) || !matches!(count, 1 | 3 | 4) {
            return unreadable("it has neither one nor three nor four colour components");
        }
        if self.components.iter().any(|Component { sampling: (h, v), .. }| !matches!((h, v), (1..=4, 1..=4))) {
            return unreadable("its frame is damaged");
        }
        (self.progressive, self.extended) = (marker == SOF2, marker == SOF1);
        Ok(())
    }

    fn scan(&mut self, parameters: &[u8]) -> Result<(), Error> {
        if self.components.is_empty() {
            return Err(Error::unreadable(FORMAT, "a scan stands before its frame"));
        }
        let Some((count, rest)) = parameters.split_first() else {
            return Err(Error::unreadable(FORMAT, "a scan's head is damaged"));
        };
        for [id, _] in rest.as_chunks::<2>().0.iter().take((*count).into()) {
            if let Some(place) = self.components.iter().position(|component| component.id == *id) {
                self.seen[place] = true;
                self.lone[place] |= *count == 1;
            }
        }
        self.scans += 1;
        if self.scans > MOST_SCANS {
            return Err(Error::unreadable(FORMAT, format!("it has more than {MOST_SCANS} scans")));
        }
        Ok(())
    }

    /// Whether the end marker is there, and before it something of every component.
    pub(super) fn is_whole(&self) -> bool {
        self.ended && self.seen[..self.components.len()].iter().all(|seen| *seen)
    }

    /// Most blocks across and down that a component has in a unit of interleaved data.
    pub(super) fn most(&self) -> (u8, u8) {
        let most = |of: fn(&Component) -> u8| self.components.iter().map(of).max().unwrap_or(1);
        (most(|component| component.sampling.0), most(|component| component.sampling.1))
    }

    /// Whether a component between the finest and the coarsest has a scan of its own. How many blocks that scan has is counted
    /// wrongly by `jpeg-decoder`.
    pub(super) fn is_misread(&self) -> bool {
        let most = self.most();
        let between = |factor: u8, most: u8| factor > 1 && factor < most;
        let odd = |component: &Component| between(component.sampling.0, most.0) || between(component.sampling.1, most.1);
        self.components.iter().zip(self.lone).any(|(component, lone)| lone && odd(component))
    }

    /// Whether this is the layout that `zune-jpeg` reads right: what nearly every writer writes where it writes no progressive one.
    pub(super) fn is_plain(&self) -> bool {
        let usual = |factor: u8| matches!(factor, 1 | 2 | 4);
        let (first, rest) = (self.components.first(), self.components.get(1..).unwrap_or_default());
        let sampled = first.is_some_and(|component| usual(component.sampling.0) && usual(component.sampling.1))
            && rest.iter().all(|component| component.sampling == (1, 1));
        sampled && !self.extended && !self.progressive && self.scans == 1
    }
}
