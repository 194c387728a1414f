//! How the system's allocator, which everything beside a [`Buffer`](super::Buffer) comes from, gives memory back. It knows nothing
//! of who allocates.
//!
//! glibc raises the size from which an allocation has pages of its own with every such allocation that is freed, up to 32 MiB; and
//! it has as many heaps as eight times the processors. So what bodies, pictures and activations took in a crowd stays in holes of
//! many heaps. After eight seconds of 64 connections with pictures of 12 megapixels, ten seconds later (two processors, MiB
//! resident, 48 before): as glibc is 282–346, with its heaps alone bounded 236, mimalloc 239, as set here 95; large pictures
//! answered meanwhile 308 and 329, and 301. What it costs small ones was not told from that machine's noise.

/// From so many bytes on an allocation has pages of its own, which go back when it is freed.
const OWN_PAGES: i32 = 1 << 20;
/// So much may be free at a heap's end before it goes back.
const KEPT: i32 = 4 << 20;

/// Has memory go back. Before threads are started: they have heaps by then. Where the allocator is another one, nothing is done.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn give_back() {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let heaps = i32::try_from(processors.max(2)).unwrap_or(i32::MAX);
    for (what, value) in [(libc::M_MMAP_THRESHOLD, OWN_PAGES), (libc::M_TRIM_THRESHOLD, KEPT), (libc::M_ARENA_MAX, heaps)] {
        // SAFETY: it takes two numbers, and sets how later allocations are made; those there are stay as they are.
        unsafe { libc::mallopt(what, value) };
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back() {}
