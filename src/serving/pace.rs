//! How long a network takes on one thread, and whether images in company take less: measured when a model is loaded, since it is
//! neither in its layer list nor the same on every machine.

use std::time::{Duration, Instant};

/// What takes no longer may be done by a thread that others wait for.
const BRIEF: Duration = Duration::from_millis(1);
/// Images of the batch that is compared with one.
pub(super) const COMPANY: usize = 8;
/// How often each is tried: whatever else the machine does only adds to the time.
const TRIES: usize = 3;

/// How the images of a model are evaluated best.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pace {
    /// One image is done at once.
    pub(super) brief: bool,
    /// In company, an image takes much less of a thread's time than by itself. (Often it takes more: by itself it has the values of a
    /// layer that are zero left out.)
    pub(super) better_together: bool,
}

impl Pace {
    /// Measures it; `evaluate` evaluates so many images on this thread.
    pub(super) fn measure<E>(mut evaluate: impl FnMut(usize) -> Result<(), E>) -> Result<Self, E> {
        let alone = shortest(1, &mut evaluate)?;
        if alone > BRIEF {
            return Ok(Self::default());
        }
        let together = shortest(COMPANY, &mut evaluate)? / COMPANY as u32;
        Ok(Self { brief: true, better_together: together * 10 < alone * 7 })
    }
}

/// The shortest time that a batch takes; one that takes long is tried once.
fn shortest<E>(images: usize, evaluate: &mut impl FnMut(usize) -> Result<(), E>) -> Result<Duration, E> {
    let mut shortest = Duration::MAX;
    // The first one meets cold memory.
    for _ in 0..=TRIES {
        let started = Instant::now();
        evaluate(images)?;
        shortest = shortest.min(started.elapsed());
        if shortest > BRIEF * (8 * COMPANY) as u32 {
            break;
        }
    }
    Ok(shortest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_not_brief_and_what_is_cheaper_in_company_is_known() {
        let pace = |alone: u64, together: u64| {
            let evaluate = |images| {
                std::thread::sleep(Duration::from_micros(if images == 1 { alone } else { together }));
                Ok::<_, ()>(())
            };
            Pace::measure(evaluate).unwrap()
        };
        assert!(!pace(3000, 0).brief);
        // A sleep may be longer than asked for, never shorter.
        assert!(!pace(0, 10_000).better_together);
    }
}
