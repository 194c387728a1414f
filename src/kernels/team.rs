//! A few threads that do one batch of tasks together, at once and without allocating.
//!
//! A training step is a dozen short parallel regions; a general pool's queues and wake-ups cost as much as a small layer.
//! Here workers look for the next region for a moment before they sleep, and the caller works too, so a region costs about
//! a microsecond. Which thread does a task is chance; what a task computes must not depend on it.

mod parts;

pub use parts::{Chunks, Cut, Parts};

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// How often a worker looks for work before it sleeps: some tens of microseconds.
const LOOKS: u32 = 2000;
/// In [`Shared::state`]: a region is open for workers to enter.
const OPEN: u64 = 1 << 31;
/// In [`Shared::state`]: the number of the region starts here; below [`OPEN`] is how many workers are inside.
const REGION: u32 = 32;

/// A region's work: called with the task and the number of the thread that does it.
type Job<'a> = &'a (dyn Fn(usize, usize) + Sync);

thread_local! {
    /// Whether this thread is doing a task of a region.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// Marks this thread as doing a region's tasks.
struct Busy;

impl Busy {
    fn mark() -> Self {
        // Whoever waits for a region from inside one waits for itself.
        assert!(!BUSY.replace(true), "a task of a team began a region: its threads cannot do both");
        Self
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        BUSY.set(false);
    }
}

struct Shared {
    state: AtomicU64,
    next: AtomicUsize,
    tasks: AtomicUsize,
    job: Mutex<Option<Job<'static>>>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    sleepers: AtomicUsize,
    /// Guards going to sleep; true when the team is dissolved.
    gate: Mutex<bool>,
    wake: Condvar,
}

/// Threads that wait for [`Team::run`].
pub struct Team {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// One region at a time.
    turn: Mutex<()>,
}

impl Team {
    /// A team of `size` threads, the caller of [`Team::run`] among them.
    pub fn new(size: usize) -> Self {
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            next: AtomicUsize::new(0),
            tasks: AtomicUsize::new(0),
            job: Mutex::new(None),
            panic: Mutex::new(None),
            sleepers: AtomicUsize::new(0),
            gate: Mutex::new(false),
            wake: Condvar::new(),
        });
        // A thread that the system refuses is one fewer that helps: the caller alone can do every task.
        let threads = (1..size).map_while(|worker| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name(format!("kernel-{worker}")).spawn(move || shared.work(worker)).ok()
        });
        let threads = threads.collect();
        Self { shared, threads, turn: Mutex::new(()) }
    }

    /// As many threads as the program's other arithmetic uses: what `RAYON_NUM_THREADS` or the command line says, else as many
    /// as this process may use (a container's quota counts).
    pub fn available() -> Self {
        Self::new(rayon::current_num_threads())
    }

    /// Threads, the caller among them.
    pub fn size(&self) -> usize {
        self.threads.len() + 1
    }

    /// Calls `job(task, worker)` once for each task below `tasks`, `worker` below [`Team::size`], never two at a time for
    /// one worker. Returns when all are done. A panic in a task is raised here. Several callers take turns.
    ///
    /// # Panics
    /// Inside a task of any team, whatever its size: where there are other threads it would wait for ever.
    pub fn run(&self, tasks: usize, job: impl Fn(usize, usize) + Sync) {
        let _busy = Busy::mark();
        if self.threads.is_empty() || tasks <= 1 {
            (0..tasks).for_each(|task| job(task, 0));
            return;
        }
        let _turn = lock(&self.turn);
        let shared = &*self.shared;
        let job: Job<'_> = &job;
        // SAFETY: only the lifetime changes. Workers use the job only between entering and leaving an open region, and
        // this function does not return (nor unwind: `take` catches) before the region is closed and all have left.
        let lasting: Job<'static> = unsafe { std::mem::transmute(job) };
        *lock(&shared.job) = Some(lasting);
        shared.next.store(0, Ordering::Relaxed);
        shared.tasks.store(tasks, Ordering::Relaxed);
        let region = (shared.state.load(Ordering::Relaxed) >> REGION) + 1;
        shared.state.store((region << REGION) | OPEN, Ordering::SeqCst);
        if shared.sleepers.load(Ordering::SeqCst) > 0 {
            let _gate = lock(&shared.gate);
            shared.wake.notify_all();
        }
        shared.take(job, 0);
        let mut inside = shared.state.fetch_and(!OPEN, Ordering::SeqCst) & (OPEN - 1);
        let mut looks = 0;
        while inside > 0 {
            if looks < LOOKS {
                std::hint::spin_loop();
                looks += 1;
            } else {
                std::thread::yield_now();
            }
            inside = shared.state.load(Ordering::Acquire) & (OPEN - 1);
        }
        *lock(&shared.job) = None;
        if let Some(panic) = lock(&shared.panic).take() {
            resume_unwind(panic);
        }
    }

    /// Calls `job` once with each part of `parts`. (Takes them by value: no part can be had a second time.)
    #[allow(clippy::needless_pass_by_value, reason = "used up: by reference the same parts could be shared out twice")]
    pub fn each<P: Parts>(&self, parts: P, job: impl Fn(usize, P::Part) + Sync) {
        self.run(parts.count(), |task, _| {
            // SAFETY: `run` gives out each task once, and the parts are used up here.
            job(task, unsafe { parts.part(task) });
        });
    }

    /// Calls `job` once with each part of `parts`, and with one of `workspaces` (at least [`Team::size`] of them).
    #[allow(clippy::needless_pass_by_value, reason = "used up: by reference the same parts could be shared out twice")]
    pub fn split<P: Parts, W: Send>(&self, parts: P, workspaces: &mut [W], job: impl Fn(usize, P::Part, &mut W) + Sync) {
        assert!(workspaces.len() >= self.size(), "a workspace for each thread");
        let workspaces = Chunks::new(workspaces, 1);
        self.run(parts.count(), |task, worker| {
            // SAFETY: `run` gives out each task once, and a worker's number to one task at a time; the parts are used up here,
            // and a workspace is lent for this call of the job.
            let (part, workspace) = unsafe { (parts.part(task), workspaces.part(worker)) };
            job(task, part, &mut workspace[0]);
        });
    }
}

impl Shared {
    fn work(&self, worker: usize) {
        let _busy = Busy::mark();
        let mut last = 0;
        while let Some(region) = self.enter(last) {
            last = region;
            let job = *lock(&self.job);
            if let Some(job) = job {
                self.take(job, worker);
            }
            self.state.fetch_sub(1, Ordering::Release);
        }
    }

    /// Waits for an open region after `last` and enters it; none when the team is dissolved.
    fn enter(&self, last: u64) -> Option<u64> {
        let mut looks = 0;
        loop {
            let state = self.state.load(Ordering::SeqCst);
            if state & OPEN != 0 && state >> REGION != last {
                if self.state.compare_exchange_weak(state, state + 1, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                    return Some(state >> REGION);
                }
            } else if looks < LOOKS {
                looks += 1;
                std::hint::spin_loop();
            } else {
                let gate = lock(&self.gate);
                if *gate {
                    return None;
                }
                self.sleepers.fetch_add(1, Ordering::SeqCst);
                let state = self.state.load(Ordering::SeqCst);
                if state & OPEN == 0 || state >> REGION == last {
                    drop(self.wake.wait(gate).unwrap_or_else(PoisonError::into_inner));
                }
                self.sleepers.fetch_sub(1, Ordering::SeqCst);
                looks = 0;
            }
        }
    }

    fn take(&self, job: Job<'_>, worker: usize) {
        let tasks = self.tasks.load(Ordering::Relaxed);
        let done = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let task = self.next.fetch_add(1, Ordering::Relaxed);
                if task >= tasks {
                    break;
                }
                job(task, worker);
            }
        }));
        if let Err(panic) = done {
            lock(&self.panic).get_or_insert(panic);
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        *lock(&self.shared.gate) = true;
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            // A worker catches what its tasks panic with, so there is nothing to learn from the result.
            let _ = thread.join();
        }
    }
}

/// A panic elsewhere does not spoil what these locks guard: plain values, replaced whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_is_done_once_by_a_worker_with_its_own_workspace() {
        for size in [1, 2, 5] {
            let team = Team::new(size);
            for tasks in [0, 1, 2, 7, 1000] {
                let mut done = vec![0u32; tasks * 3];
                let mut counts = vec![0usize; size];
                team.split(Chunks::new(&mut done, 3), &mut counts, |task, part, count| {
                    part.fill(task as u32 + 1);
                    *count += 1;
                });
                assert!(done.chunks(3).zip(1..).all(|(part, task)| part == [task; 3]));
                assert_eq!(counts.iter().sum::<usize>(), tasks);
            }
        }
    }

    #[test]
    fn parts_of_any_lengths_are_each_a_task_s_own() {
        for size in [1, 3] {
            let (mut values, ends) = (vec![0usize; 12], [2, 2, 7, 10]);
            Team::new(size).each(Cut::new(&mut values, &ends), |task, part| part.fill(task + 1));
            assert_eq!(values, [1, 1, 3, 3, 3, 3, 3, 4, 4, 4, 0, 0]);
        }
        for wrong in [&[3, 2][..], &[13]] {
            assert!(catch_unwind(|| Cut::new(&mut [0usize; 12], wrong).count()).is_err());
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_team_works_on() {
        let team = Team::new(3);
        for task in 0..20 {
            let caught = catch_unwind(AssertUnwindSafe(|| team.run(20, |t, _| assert!(t != task, "planned"))));
            assert!(caught.is_err());
        }
        let sum = AtomicUsize::new(0);
        team.run(100, |task, _| {
            sum.fetch_add(task, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 4950);
    }

    #[test]
    fn a_region_inside_a_region_is_a_panic_and_the_team_works_on() {
        for (size, tasks) in [(3, 20), (3, 1), (1, 4)] {
            let (team, other) = (Team::new(size), Team::new(2));
            for inner in [&team, &other] {
                let nested = || team.run(tasks, |_, _| inner.run(2, |_, _| {}));
                let panic = catch_unwind(AssertUnwindSafe(nested)).unwrap_err();
                let message = panic.downcast_ref::<&str>().copied().unwrap_or_default();
                assert!(message.contains("began a region"), "{size} {tasks}: {message}");
            }
            let sum = AtomicUsize::new(0);
            team.run(100, |task, _| {
                sum.fetch_add(task, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), 4950);
        }
    }

    #[test]
    fn two_callers_at_once_get_what_each_asked_for() {
        let team = Team::new(3);
        std::thread::scope(|scope| {
            for caller in 1..=2usize {
                let team = &team;
                scope.spawn(move || {
                    for round in 0..500 {
                        let (mut done, mut workspaces) = (vec![0usize; 7 + round % 30], [0usize; 3]);
                        team.split(Chunks::new(&mut done, 1), &mut workspaces, |task, part, count| {
                            part[0] = caller * 1000 + task;
                            *count += 1;
                        });
                        assert!(done.iter().enumerate().all(|(task, &found)| found == caller * 1000 + task), "{caller} {round}");
                        assert_eq!(workspaces.iter().sum::<usize>(), done.len());
                    }
                });
            }
        });
    }

    #[test]
    fn sleeping_workers_are_woken() {
        let team = Team::new(2);
        for _ in 0..3 {
            std::thread::sleep(std::time::Duration::from_millis(5));
            let seen = AtomicUsize::new(0);
            team.run(2, |_, _| {
                seen.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(seen.into_inner(), 2);
        }
    }
}
