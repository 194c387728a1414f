//! Why an image is refused, in sentences that say what to do. Which status each has is `http`'s to know.

use super::format::Format;

/// Everything that can be wrong with an image's bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No bytes at all.
    #[error("the image is empty: send the bytes of a {} file", Format::LIST)]
    Empty,
    /// A format that is not read; `name` where it was recognised.
    #[error("{} is not a format read here: send a {} file", .name.unwrap_or("this"), Format::LIST)]
    UnknownFormat {
        /// What it was recognised as.
        name: Option<&'static str>,
    },
    /// An image that a transfer took for text.
    #[error(
        "the image was changed on its way, as text is: send its bytes as they are, with curl `--data-binary @FILE` and not `-d`"
    )]
    Mangled,
    /// An image written as text.
    #[error(
        "this is an image in base64: decode it and send its bytes, as `base64 -d FILE.txt > FILE` and curl `--data-binary @FILE` do"
    )]
    Base64,
    /// More pixels than are allowed.
    #[error("the image has {width}×{height} pixels, more than the {limit} allowed: send a smaller one")]
    TooManyPixels {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// Most pixels allowed.
        limit: u64,
    },
    /// Decoding would take more memory than is allowed.
    #[error("reading this {format} would take more than {} MiB of memory: send a smaller image, or a plainer one", .limit >> 20)]
    TooMuchMemory {
        /// What it is.
        format: Format,
        /// Most bytes allowed.
        limit: u64,
    },
    /// The bytes end before the picture does.
    #[error("the {format} file ends before its picture does: send the whole file")]
    Truncated {
        /// What it is.
        format: Format,
    },
    /// The decoder gave up.
    #[error("the {format} file cannot be read ({reason}): save it anew and send that")]
    Unreadable {
        /// What it is.
        format: Format,
        /// The decoder's words.
        reason: String,
    },
}

impl Error {
    pub(super) fn unreadable(format: Format, reason: impl std::fmt::Display) -> Self {
        Self::Unreadable { format, reason: reason.to_string() }
    }
}

/// A word that is none of those there are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {what} `{name}`: use one of {known}")]
pub struct UnknownName {
    /// What was being named.
    pub what: &'static str,
    /// As written.
    pub name: String,
    /// Those there are.
    pub known: &'static str,
}
