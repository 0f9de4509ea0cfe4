//! What ExplainRoute tells of a decision.

use super::{
    super::*,
    answer::Answer,
    cases::{self, Place, Policies, Verdicts},
};

/// A new database, decided as `resolve` does: anew after each question, into one trace.
#[test]
fn a_decision_tells_each_rule_it_tried_once_and_which_one_decided() {
    let listed = Place {
        ledger: cases::NOTHING,
        catalog: cases::LISTED,
        inside: cases::NOT_LOOKED,
        followed: cases::UNFOLLOWED,
        app: cases::DOCUMENTS,
    };
    let entered = Place { inside: cases::OWN_UNFENCED, ..listed };
    let mut trace = Trace::kept();
    let asked = [(listed, cases::NOT_COUNTED), (entered, cases::NOT_COUNTED), (entered, cases::NO_ROWS)].map(
        |(place, rows)| {
            Verdicts::at(place, |verdicts| verdicts.told(rows | cases::NOT_READ, Policies::ALLOWED, &mut trace))
        },
    );
    assert_eq!(asked, [Answer::Need("INSIDE"), Answer::Need("ROWS"), Answer::Act("TAKE_OVER")]);
    let told: Vec<_> = trace.into_steps().into_iter().map(|step| (step.rule, step.decided)).collect();
    let passed = ["moving", "ledger-behind", "listed", "ready"].map(|rule| (rule, false));
    assert_eq!(told, [&passed[..], &[("take-over", true)]].concat());
}

#[test]
fn a_refusal_is_told_with_what_it_found() {
    let place = Place {
        ledger: cases::DEDICATED,
        catalog: cases::ABSENT,
        inside: cases::NOT_LOOKED,
        followed: cases::UNFOLLOWED,
        app: cases::DOCUMENTS,
    };
    let mut trace = Trace::kept();
    let loose = cases::NOT_COUNTED | cases::NOT_READ;
    Verdicts::at(place, |verdicts| verdicts.told(loose, Policies::ALLOWED, &mut trace));
    let last = trace.into_steps().pop();
    let finding = "recorded as DEDICATED, and not listed".to_owned();
    assert_eq!(last, Some(Step { rule: "detached", finding, decided: true }));
}
