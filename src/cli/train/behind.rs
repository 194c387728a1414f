//! A server's run goes behind everything else on its machine.

/// Added to the niceness.
const NICER: i32 = 10;
/// The kernel's score of what to kill first when memory runs out goes up to this.
const FIRST: &str = "1000";

/// Gives this process less of a busy processor than others, and makes it the first that ends where memory runs out: a run can be gone
/// on with, a server cannot. Before the first thread, which would go on as before.
pub(super) fn step_behind() {
    // Where the system refuses, the run is as any other process.
    let _ = rustix::process::nice(NICER);
    #[cfg(target_os = "linux")]
    let _ = std::fs::write("/proc/self/oom_score_adj", FIRST);
}
