//! What `--explain` shows of the steps of a query.

#![allow(clippy::unwrap_used)]

mod harness;

use std::time::{Duration, Instant};

use harness::Runner;
use vql::eval::explain::{Plan, Profile};

fn explained(query: &str) -> (Profile, Runner) {
    let profile = Profile::new();
    let runner = Runner::new();
    let runner = Runner { execution: runner.execution.explain(&profile), log: runner.log };
    let plain = Runner::new().run(query).unwrap();
    assert_eq!(runner.run(query).unwrap(), plain, "{query}: the rows are the same");
    (profile, runner)
}

#[test]
fn plans_show_what_each_step_did() {
    let mut all = String::new();
    for query in [
        "SELECT _value * 2 AS Double, format(format='%v', args=_value) AS Text FROM range(start=1, end=100) WHERE _value > 5 AND Double < 30 LIMIT 3",
        "LET Q = SELECT _value AS V, _value * 2 AS Unread FROM range(end=10)
         SELECT V FROM Q",
        "LET M <= SELECT _value AS V FROM range(end=5) WHERE V % 2 = 0
         SELECT V, { SELECT count() AS N FROM M WHERE V = 2 GROUP BY 1 } AS N FROM M ORDER BY V DESC",
        "SELECT K, count() AS N FROM foreach(row={ SELECT _value AS X FROM range(end=4) }, query={ SELECT X % 3 AS K, _value AS V FROM range(end=X) WHERE V < 2 LIMIT 1 }) GROUP BY K ORDER BY N LIMIT 1",
        "LET F(N) = SELECT * FROM if(condition=N > 0, then={ SELECT * FROM F(N=N - 1) }, else={ SELECT N FROM scope() }) SELECT * FROM F(N=3)",
        "SELECT * FROM range(end=0) WHERE never AND asked",
    ] {
        all += &format!("{query}\n\n{}\n", explained(query).0.text(false));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn what_goes_to_disk_is_shown() {
    let profile = Profile::new();
    let runner = Runner::new();
    let runner = Runner { execution: runner.execution.explain(&profile).rows_in_memory(10), log: runner.log };
    runner.run("SELECT _value FROM range(end=1000) ORDER BY _value DESC SELECT _value FROM range(end=1000) GROUP BY _value").unwrap();
    let text = profile.text(false);
    for shown in ["ORDER BY _value DESC", "1,000 rows in 1,000 groups, ", " KiB on disk"] {
        assert!(text.contains(shown), "{text}");
    }
}

#[test]
fn times_add_up() {
    let begun = Instant::now();
    let (profile, _) = explained(
        "SELECT K, count() AS N FROM foreach(row={ SELECT _value AS X FROM range(end=200) }, query={ SELECT _value % 7 AS K FROM range(end=X) WHERE K > 1 }) GROUP BY K ORDER BY N",
    );
    let elapsed = begun.elapsed();
    let plans = profile.plans();
    let steps = |plan: &Plan| -> Duration { plan.steps.iter().filter(|s| !s.part).filter_map(|s| s.time).sum() };
    fn all<'p>(plan: &'p Plan, found: &mut Vec<&'p Plan>) {
        found.push(plan);
        plan.children.iter().for_each(|child| all(child, found));
    }
    let mut every = Vec::new();
    all(&plans[0], &mut every);
    assert_eq!(every.len(), 3);
    let sum: Duration = every.iter().map(|plan| steps(plan)).sum();
    assert_eq!(sum, plans[0].time, "{}", profile);
    assert!(sum > Duration::ZERO && sum < elapsed, "{sum:?} of {elapsed:?}");
    assert!(profile.to_string().contains(" ms"), "{profile}");
}

#[test]
fn workers_write_into_one_plan() {
    let (profile, _) = explained(
        "SELECT count() AS N FROM foreach(row={ SELECT * FROM range(end=50) }, workers=4, query={ SELECT _value FROM range(end=10) WHERE _value = 1 }) GROUP BY 1",
    );
    let plan = &profile.plans()[0];
    let query = plan.children.iter().find(|child| child.label == "query of foreach").unwrap();
    assert_eq!(query.runs, 50);
    assert_eq!(query.steps[0].did, "500 rows");
    assert_eq!(query.steps[1].did, "kept 50 rows");
}
