//! Which runs a schedule owes, and what becomes of one whose predecessor is under way.

use super::{START, program, run, step};
use crate::jobs::due::{Admission, Due, IN_TIME_MS, admit, due};
use crate::jobs::model::{RunState, Trigger};
use crate::jobs::timetable::Timetable;
use crate::kernel::random::Random;
use crate::stack::model::{Misfire, Overlap, Schedule};

#[test]
fn a_moment_is_owed_once_and_a_late_one_by_the_policy() {
    let table = Timetable::new(&Schedule { cron: "0 * * * *".into(), zone: "UTC".into() }).unwrap();
    let seen = START.plus_secs(60);
    let moment = START.plus_secs(3_600);
    assert_eq!(due(&table, Misfire::Skip, seen, moment.plus_ms(-1)), None);
    let run = |trigger| Some(Due::Run { moment, trigger });
    assert_eq!(due(&table, Misfire::Skip, seen, moment), run(Trigger::Schedule));
    assert_eq!(due(&table, Misfire::Skip, seen, moment.plus_ms(IN_TIME_MS)), run(Trigger::Schedule));
    let late = moment.plus_ms(IN_TIME_MS + 1);
    assert_eq!(due(&table, Misfire::Skip, seen, late), Some(Due::Missed { moment }));
    assert_eq!(due(&table, Misfire::Once, seen, late), run(Trigger::CatchUp));
    assert_eq!(due(&table, Misfire::Once, late, late.plus_secs(60)), None, "what was dealt with is not owed again");
    let days_later = START.plus_secs(3 * 86_400 + 1_800);
    let newest = START.plus_secs(3 * 86_400);
    assert_eq!(
        due(&table, Misfire::Once, seen, days_later),
        Some(Due::Run { moment: newest, trigger: Trigger::CatchUp }),
        "however many have passed, one is made up for"
    );
}

#[test]
fn a_second_run_is_left_out_waits_or_joins_by_the_policy() {
    let random = Random::seeded(1);
    let first = run(1, program([("a", step(&[]))]), &random);
    assert_eq!(admit(Overlap::Skip, &[], 1), Admission::Begin);
    assert_eq!(admit(Overlap::Allow, std::slice::from_ref(&first), 2), Admission::Begin);
    assert!(matches!(admit(Overlap::Skip, std::slice::from_ref(&first), 2), Admission::Refuse { .. }));
    let replace = |others: &[_]| admit(Overlap::Replace, others, 3);
    assert_eq!(replace(std::slice::from_ref(&first)), Admission::Wait { replace: vec![first.id.clone()] });
    let mut told = first.clone();
    told.cancelled_by = Some("ann".to_owned());
    assert_eq!(replace(&[told]), Admission::Wait { replace: Vec::new() }, "nobody is told twice");
    let ended = crate::jobs::Run { state: RunState::Failed, ..first };
    assert_eq!(replace(&[ended]), Admission::Begin);
}
