//! From a number between 0 and 1 to a colour, as tables of 256.
//!
//! Names are matplotlib's. `viridis` is its very table; `cividis` and `rdbu` are d3's fits of theirs, close and not equal.

use std::fmt;
use std::str::FromStr;

use super::error::UnknownName;

/// A way to colour numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Colormap {
    /// Dark blue, green, yellow: the default for values from 0 up, and matplotlib's.
    Viridis,
    /// Blue to yellow, the same to eyes that do not tell red from green.
    Cividis,
    /// Black to white.
    Gray,
    /// Red below, white at, blue above the middle: the default for values of both signs.
    Rdbu,
}

impl Colormap {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Viridis, Self::Cividis, Self::Gray, Self::Rdbu];
    const NAMES: &str = "viridis, cividis, gray, rdbu";

    /// RGB of 0, 1/255, …, 1.
    pub fn table(self) -> [[u8; 3]; 256] {
        let gradient = match self {
            Self::Gray => return std::array::from_fn(|value| [value as u8; 3]),
            Self::Viridis => colorous::VIRIDIS,
            Self::Cividis => colorous::CIVIDIS,
            Self::Rdbu => colorous::RED_BLUE,
        };
        std::array::from_fn(|value| gradient.eval_rational(value, 256).as_array())
    }
}

impl fmt::Display for Colormap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Viridis => "viridis",
            Self::Cividis => "cividis",
            Self::Gray => "gray",
            Self::Rdbu => "rdbu",
        })
    }
}

impl FromStr for Colormap {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.into_iter().find(|map| map.to_string() == name);
        found.ok_or_else(|| UnknownName { what: "colormap", name: name.into(), known: Self::NAMES })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for map in Colormap::ALL {
            assert_eq!(map.to_string().parse(), Ok(map));
        }
        let error = "jet".parse::<Colormap>().unwrap_err().to_string();
        assert_eq!(error, "there is no colormap `jet`: use one of viridis, cividis, gray, rdbu");
    }

    #[test]
    fn ends_are_matplotlibs() {
        // matplotlib.colormaps["viridis"]([0, 255], bytes=True)
        let viridis = Colormap::Viridis.table();
        assert_eq!((viridis[0], viridis[255]), ([68, 1, 84], [253, 231, 37]));
        let rdbu = Colormap::Rdbu.table();
        assert!(rdbu[0][0] > 90 && rdbu[0][2] < 60 && rdbu[255][2] > 90 && rdbu[255][0] < 20);
        assert_eq!(Colormap::Gray.table()[77], [77; 3]);
    }
}
