//! Every state that a queue can reach, and what each act may do there.

use std::collections::HashSet;

use super::*;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Act {
    Next,
    Cancel,
    Resume,
    Said(JobState),
    Gone(JobState),
    Leave,
    Left,
    Stayed,
    Close,
}

const LAST: [JobState; 3] = [JobState::Done, JobState::Failed, JobState::Cancelled];

fn acts() -> Vec<Act> {
    let mut acts = vec![Act::Next, Act::Cancel, Act::Resume, Act::Gone(JobState::Interrupted), Act::Leave, Act::Left];
    acts.extend([Act::Stayed, Act::Close]);
    acts.extend(LAST.map(Act::Said));
    acts
}

/// `queue` after `act` on `id`, and whether it was refused.
fn after(queue: &Queue, act: Act, id: &str) -> (Queue, Option<Refusal>) {
    let mut next = queue.clone();
    let mut refusal = None;
    match act {
        Act::Cancel => refusal = next.cancel(id).err(),
        Act::Resume => refusal = next.resume(id).err(),
        Act::Leave => refusal = next.leave(id).err(),
        Act::Next => drop(next.start_next()),
        Act::Said(state) => next.said(id, state),
        Act::Gone(silent) => assert!(next.gone(id, silent).is_none_or(|state| !state.is_live())),
        Act::Left => next.left(id),
        Act::Stayed => next.stayed(id),
        Act::Close => drop(next.close()),
    }
    (next, refusal)
}

fn stage(queue: &Queue, id: &str) -> Option<Stage> {
    queue.find(id).ok().map(|run| run.stage)
}

/// Which stages one act may lead to from `before`.
fn allowed(before: Stage, act: Act) -> Vec<Option<Stage>> {
    let to = match (before, act) {
        (Stage::Waiting, Act::Next) => vec![Stage::Waiting, Stage::AtWork(None)],
        (Stage::Waiting, Act::Cancel) => vec![Stage::Over(JobState::Cancelled)],
        (Stage::AtWork(_), Act::Said(state)) => vec![Stage::AtWork(Some(state))],
        (Stage::AtWork(None), Act::Gone(silent)) => vec![Stage::Over(silent)],
        (Stage::AtWork(Some(said)), Act::Gone(_)) => vec![Stage::Over(said)],
        (Stage::Over(state), Act::Resume) if state != JobState::Done => vec![Stage::Waiting, before],
        (Stage::Over(state), Act::Leave) => vec![Stage::Leaving(state)],
        (Stage::Leaving(_), Act::Left) => return vec![None],
        (Stage::Leaving(state), Act::Stayed) => vec![Stage::Over(state)],
        _ => vec![before],
    };
    to.into_iter().map(Some).collect()
}

#[test]
fn every_state_that_can_be_reached_keeps_the_rules() {
    let ids = ["a", "b", "c"];
    for places in 1..=2 {
        let mut first = Queue::new(places);
        for id in ids {
            first.add(id, JobState::Queued);
        }
        let (mut seen, mut open) = (HashSet::from([first.clone()]), vec![first]);
        while let Some(queue) = open.pop() {
            for (id, act) in ids.iter().flat_map(|id| acts().into_iter().map(move |act| (*id, act))) {
                let (next, refusal) = after(&queue, act, id);
                let busy = ids.iter().filter(|id| next.at_work(id)).count();
                assert!(busy <= places, "{queue:?} {act:?} {id}");
                assert!(refusal.is_none() || next == queue, "a refusal changes nothing: {queue:?} {act:?} {id}");
                for other in ids {
                    let (before, now) = (stage(&queue, other), stage(&next, other));
                    match before {
                        Some(before) if other == id || act == Act::Next => {
                            assert!(allowed(before, act).contains(&now), "{before:?} {act:?} {now:?}");
                        }
                        _ => assert_eq!(before, now, "{act:?} of {id} is no business of {other}"),
                    }
                }
                if act == Act::Next && next != queue {
                    let started = ids.iter().position(|id| stage(&queue, id) != stage(&next, id)).unwrap();
                    assert!(!queue.closing && ids[..started].iter().all(|id| stage(&queue, id) != Some(Stage::Waiting)));
                }
                if act == Act::Next && next == queue && !queue.closing && busy < places {
                    assert!(ids.iter().all(|id| stage(&queue, id) != Some(Stage::Waiting)), "a free place is not left empty");
                }
                if queue.closing {
                    assert!(next.closing && (act != Act::Resume || refusal.is_some()));
                }
                if seen.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
        assert!(seen.len() > 1000, "{}", seen.len());
    }
}

#[test]
fn who_waits_is_told_where_and_moves_up() {
    let mut queue = Queue::new(1);
    assert!(queue.has_place());
    for id in ["a", "b", "c", "d"] {
        queue.add(id, JobState::Queued);
    }
    let places = |queue: &Queue| ["a", "b", "c", "d"].map(|id| queue.position(id).map(|at| (at.place, at.of)));
    assert_eq!(places(&queue), [Some((1, 4)), Some((2, 4)), Some((3, 4)), Some((4, 4))]);
    assert!(queue.start_next().as_deref() == Some("a") && !queue.has_place());
    queue.cancel("c").unwrap();
    assert_eq!(places(&queue), [None, Some((1, 2)), None, Some((2, 2))]);
    queue.resume("c").unwrap();
    assert_eq!(places(&queue), [None, Some((1, 3)), Some((2, 3)), Some((3, 3))], "as it is started");
}

#[test]
fn who_is_being_removed_is_not_there_for_anybody() {
    let mut queue = Queue::new(1);
    queue.add("a", JobState::Interrupted);
    queue.leave("a").unwrap();
    assert_eq!((queue.state("a"), queue.ids().count()), (None, 0));
    assert_eq!(queue.cancel("a"), Err(Refusal::Unknown));
    assert_eq!(queue.resume("a"), Err(Refusal::Unknown));
    assert_eq!(queue.leave("a"), Err(Refusal::Unknown));
    queue.stayed("a");
    assert_eq!(queue.state("a"), Some(JobState::Interrupted));
}

#[test]
fn what_is_refused_says_how_it_stands() {
    let mut queue = Queue::new(1);
    queue.add("a", JobState::Queued);
    queue.add("b", JobState::Queued);
    assert_eq!(queue.start_next().as_deref(), Some("a"));
    assert_eq!((queue.leave("a"), queue.leave("b")), (Err(Refusal::Live(JobState::Running)), Err(Refusal::Live(JobState::Queued))));
    assert_eq!((queue.cancel("a"), queue.cancel("b")), (Ok(Cancelled::Ask), Ok(Cancelled::AtOnce)));
    queue.said("a", JobState::Done);
    assert_eq!(queue.cancel("a"), Err(Refusal::Over(JobState::Done)));
    assert_eq!(queue.gone("a", JobState::Interrupted), Some(JobState::Done), "its own word stands");
    assert_eq!((queue.resume("a"), queue.resume("b")), (Err(Refusal::Over(JobState::Done)), Ok(())));
    queue.close();
    assert_eq!((queue.may_add(), queue.may_resume("b")), (Err(Refusal::Closing), Err(Refusal::Closing)));
}
