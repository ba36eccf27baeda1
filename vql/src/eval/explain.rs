//! What each step of a query did, and what it cost: the tree behind `swoop query --explain`.
//!
//! Time is exclusive: while a step waits for another one (a plugin for who takes its rows, a column for the query in
//! it), the clock runs for that other one. So the times of all steps of one thread add up to the time of the whole.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::plugin::{EmitView, Flow};
use crate::row::RowView;
use crate::syntax::ast;
use crate::syntax::format::canonical;

/// Gathers what the queries of an execution do, see `Execution::explain`. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    nodes: Arc<Mutex<Vec<Arc<Node>>>>,
    /// That of an artifact which a query calls.
    is_inside: bool,
}

/// One SELECT, over all the times that it ran at its place in the tree.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it is: `SELECT`, `LET x`, `query of foreach`, `sub-select`.
    pub label: String,
    pub runs: u64,
    /// Of its own steps and of all queries under it, added up over all threads.
    pub time: Duration,
    /// In the order in which rows pass.
    pub steps: Vec<Step>,
    /// The queries that ran inside of it.
    pub children: Vec<Plan>,
}

#[derive(Clone, Debug)]
pub struct Step {
    /// The step as it was written.
    pub what: String,
    /// What happened to the rows.
    pub did: String,
    /// Without what other steps did meanwhile; None where it is counted elsewhere.
    pub time: Option<Duration>,
    /// Parts of the step before it: the conditions of WHERE, the columns.
    pub part: bool,
}

impl Profile {
    pub fn new() -> Profile {
        Profile::default()
    }

    /// A plan for each statement that ran a query, in order.
    pub fn plans(&self) -> Vec<Plan> {
        self.nodes.lock().iter().map(|node| node.plan()).collect()
    }

    /// The trees as text; without times it is the same for each run over the same rows.
    pub fn text(&self, times: bool) -> String {
        let mut lines = Vec::new();
        for plan in self.plans() {
            write_plan(&plan, "", "", times, &mut lines);
        }
        let width = |cell: fn(&Line) -> &str| lines.iter().map(|line| cell(line).chars().count()).max().unwrap_or(0);
        let (what, did) = (width(|line| &line.what).min(WIDEST), width(|line| &line.did).min(WIDEST));
        let mut text = String::new();
        for line in &lines {
            let padded = format!("{:what$}  {:did$}  {:>10}", line.what, line.did, line.time);
            text += padded.trim_end();
            text.push('\n');
        }
        text
    }

    /// The node of a query that begins to run under another one.
    pub(crate) fn enter<'n>(
        &self,
        texts: &Arc<Texts>,
        mut above: impl Iterator<Item = &'n Arc<Node>> + Clone,
    ) -> Arc<Node> {
        // One that calls itself is shown once.
        if let Some(same) = above.clone().find(|node| Arc::ptr_eq(&node.texts, texts)) {
            return same.clone();
        }
        let parent = above.next();
        let mut siblings = parent.map_or(&self.nodes, |parent| &parent.children).lock();
        if let Some(known) = siblings.iter().find(|node| Arc::ptr_eq(&node.texts, texts)) {
            return known.clone();
        }
        let node = Arc::new(Node::new(texts, parent.is_none() && !self.is_inside && texts.label == SELECT));
        siblings.push(node.clone());
        node
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(true))
    }
}

/// No column of the text is padded beyond this.
const WIDEST: usize = 70;

#[derive(Default)]
struct Line {
    what: String,
    did: String,
    time: String,
}

fn write_plan(plan: &Plan, first: &str, rest: &str, times: bool, lines: &mut Vec<Line>) {
    let time = |time: Duration| if times { time_text(time) } else { String::new() };
    let runs = if plan.runs == 1 { String::new() } else { format!("{} runs", number(plan.runs)) };
    lines.push(Line { what: format!("{first}{}", plan.label), did: runs, time: time(plan.time) });
    let under = if plan.children.is_empty() { "   " } else { "│  " };
    for step in &plan.steps {
        let indent = if step.part { "  " } else { "" };
        lines.push(Line {
            what: format!("{rest}{under}{indent}{}", step.what),
            did: step.did.clone(),
            time: step.time.map(time).unwrap_or_default(),
        });
    }
    for (at, child) in plan.children.iter().enumerate() {
        let (branch, on) = if at + 1 == plan.children.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        write_plan(child, &format!("{rest}{branch}"), &format!("{rest}{on}"), times, lines);
    }
}

fn time_text(time: Duration) -> String {
    match time.as_micros() {
        0..10_000 => format!("{:.2} ms", time.as_secs_f64() * 1e3),
        10_000..1_000_000 => format!("{:.0} ms", time.as_secs_f64() * 1e3),
        _ => format!("{:.2} s", time.as_secs_f64()),
    }
}

/// `1,234,567`
fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn rows(n: u64) -> String {
    if n == 1 { "1 row".into() } else { format!("{} rows", number(n)) }
}

/// What a SELECT is called that is a statement.
pub(crate) const SELECT: &str = "SELECT";

/// How the parts of a SELECT were written.
#[derive(Debug)]
pub(crate) struct Texts {
    label: String,
    from: String,
    conditions: Vec<String>,
    /// None for `*`, and for what is just a name: that is not computed.
    columns: Vec<Option<String>>,
    group_by: Option<String>,
    order_by: Option<String>,
    limit: Option<String>,
}

impl Texts {
    pub(crate) fn new(label: String, select: &ast::Select) -> Texts {
        let mut conditions = Vec::new();
        select.filter.iter().for_each(|filter| conjuncts(filter, &mut conditions));
        // As the plan has them: of columns with the same name the last one counts, at the place of the first.
        let mut columns: Vec<(Option<String>, bool)> = Vec::new();
        for column in &select.columns {
            let ast::Column::Expr { expr, alias } = column else {
                columns.push((None, false));
                continue;
            };
            let name = match (&expr.kind, alias) {
                (_, Some(alias)) => alias.name.to_string(),
                (ast::ExprKind::Symbol { name, args: None }, None) => name.name.to_string(),
                _ => canonical(expr),
            };
            let computed = !matches!(expr.kind, ast::ExprKind::Symbol { args: None, .. });
            let column = (Some(name), computed);
            match columns.iter_mut().find(|(name, _)| *name == column.0) {
                Some(before) => *before = column,
                None => columns.push(column),
            }
        }
        let keys = |keys: Vec<String>| (!keys.is_empty()).then(|| keys.join(", "));
        Texts {
            label,
            from: source(&select.from),
            conditions,
            columns: columns.into_iter().map(|(name, computed)| name.filter(|_| computed).map(|n| cut(&n))).collect(),
            group_by: keys(select.group_by.iter().map(|key| brief(key)).collect()),
            order_by: keys(
                select.order_by.iter().map(|k| brief(&k.expr) + if k.descending { " DESC" } else { "" }).collect(),
            ),
            limit: select.limit.as_deref().map(brief),
        }
    }
}

/// `a AND b AND c` as its parts, in the order in which they are asked.
fn conjuncts(expr: &ast::Expr, parts: &mut Vec<String>) {
    match &expr.kind {
        ast::ExprKind::Binary { op: ast::BinaryOp::And, left, right } => {
            conjuncts(left, parts);
            conjuncts(right, parts);
        }
        ast::ExprKind::Paren { inner, .. } => conjuncts(inner, parts),
        _ => parts.push(brief(expr)),
    }
}

/// Longer texts of a part of a query are known by their beginning.
const BRIEF: usize = 56;

fn brief(expr: &ast::Expr) -> String {
    cut(&canonical(expr))
}

fn cut(text: &str) -> String {
    let line = text.replace(['\n', '\r', '\t'], " ");
    match line.char_indices().nth(BRIEF) {
        None => line,
        Some((at, _)) => format!("{}…", &line[..at]),
    }
}

/// The plugin with its arguments; queries in them are shown on their own.
fn source(source: &ast::Source) -> String {
    let mut text = source.path.iter().map(|part| &*part.name).collect::<Vec<_>>().join(".");
    if let Some(args) = &source.args {
        let args = args.iter().map(|arg| {
            let value = match &arg.value {
                ast::ArgValue::Select(_) => "{…}".into(),
                ast::ArgValue::Expr(expr) if matches!(expr.kind, ast::ExprKind::SubSelect(_)) => "{…}".into(),
                ast::ArgValue::Expr(expr) => canonical(expr),
            };
            format!("{}={value}", arg.name.name)
        });
        text += &format!("({})", args.collect::<Vec<_>>().join(", "));
    }
    cut(&text)
}

/// What one SELECT did.
#[derive(Debug)]
pub(crate) struct Node {
    texts: Arc<Texts>,
    /// A statement of its own.
    is_root: bool,
    runs: AtomicU64,
    read: AtomicU64,
    kept: AtomicU64,
    out: AtomicU64,
    groups: AtomicU64,
    spilled: AtomicU64,
    /// Of the rows of a root, as JSON.
    bytes: AtomicU64,
    limit_met: AtomicU64,
    /// How many runs ended before the source did.
    stopped: AtomicU64,
    source: Spent,
    work: Spent,
    conditions: Box<[Condition]>,
    columns: Box<[Condition]>,
    children: Arc<Mutex<Vec<Arc<Node>>>>,
}

/// A condition, or a column.
#[derive(Debug, Default)]
struct Condition {
    asked: AtomicU64,
    held: AtomicU64,
    spent: Spent,
}

/// Nanoseconds.
#[derive(Debug, Default)]
struct Spent(AtomicU64);

thread_local! {
    /// The nanoseconds of what ended inside of the step that runs now.
    static INNER: Cell<u64> = const { Cell::new(0) };
}

impl Spent {
    fn time<R>(&self, work: impl FnOnce() -> R) -> R {
        let before = INNER.replace(0);
        let begun = Instant::now();
        let result = work();
        let elapsed = begun.elapsed().as_nanos() as u64;
        let own = elapsed.saturating_sub(INNER.get());
        INNER.set(before + elapsed);
        self.0.fetch_add(own, Ordering::Relaxed);
        result
    }

    fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

impl Node {
    fn new(texts: &Arc<Texts>, is_root: bool) -> Node {
        let some = |n: usize| (0..n).map(|_| Condition::default()).collect();
        Node {
            texts: texts.clone(),
            is_root,
            runs: AtomicU64::default(),
            read: AtomicU64::default(),
            kept: AtomicU64::default(),
            out: AtomicU64::default(),
            groups: AtomicU64::default(),
            spilled: AtomicU64::default(),
            bytes: AtomicU64::default(),
            limit_met: AtomicU64::default(),
            stopped: AtomicU64::default(),
            source: Spent::default(),
            work: Spent::default(),
            conditions: some(texts.conditions.len()),
            columns: some(texts.columns.len()),
            children: Arc::default(),
        }
    }

    /// Where the queries of an artifact that this one calls write down what they do.
    pub(crate) fn inside(&self) -> Profile {
        Profile { nodes: self.children.clone(), is_inside: true }
    }

    /// A run of the whole SELECT.
    pub(crate) fn run<R>(&self, run: impl FnOnce() -> R) -> R {
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.work.time(run)
    }

    /// What a run counted.
    pub(crate) fn count(&self, read: u64, kept: u64, out: u64, groups: u64, spilled: u64, limit_met: bool) {
        for (sum, n) in [
            (&self.read, read),
            (&self.kept, kept),
            (&self.out, out),
            (&self.groups, groups),
            (&self.spilled, spilled),
            (&self.limit_met, u64::from(limit_met)),
        ] {
            sum.fetch_add(n, Ordering::Relaxed);
        }
    }

    /// Runs the source; what takes its rows is no time of its own.
    pub(crate) fn source(&self, run: impl FnOnce(&mut EmitView<'_>) -> Flow, emit: &mut EmitView<'_>) -> Flow {
        let mut stopped = false;
        let flow = self.source.time(|| {
            run(&mut |row| {
                let flow = self.work.time(|| emit(row));
                stopped |= flow.is_break();
                flow
            })
        });
        self.stopped.fetch_add(u64::from(stopped), Ordering::Relaxed);
        flow
    }

    /// Asks a condition of WHERE.
    pub(crate) fn condition(&self, at: usize, ask: impl FnOnce() -> bool) -> bool {
        let Some(condition) = self.conditions.get(at) else { return ask() };
        let held = condition.spent.time(ask);
        condition.asked.fetch_add(1, Ordering::Relaxed);
        condition.held.fetch_add(u64::from(held), Ordering::Relaxed);
        held
    }

    /// Computes a column.
    pub(crate) fn column<R>(&self, item: usize, compute: impl FnOnce() -> R) -> R {
        let Some(column) = self.columns.get(item) else { return compute() };
        column.asked.fetch_add(1, Ordering::Relaxed);
        column.spent.time(compute)
    }

    /// Counts the bytes of a row that leaves the query.
    pub(crate) fn leaves(&self, row: &dyn RowView) {
        if self.is_root {
            let mut json = Vec::new();
            row.to_row().write_json(&mut json);
            // With its line feed.
            self.bytes.fetch_add(json.len() as u64 + 1, Ordering::Relaxed);
        }
    }

    fn plan(&self) -> Plan {
        let children: Vec<Plan> = self.children.lock().iter().map(|child| child.plan()).collect();
        let own =
            [&self.source, &self.work].into_iter().chain(self.conditions.iter().chain(&self.columns).map(|c| &c.spent));
        Plan {
            label: self.texts.label.clone(),
            runs: self.runs.load(Ordering::Relaxed),
            time: own.map(Spent::get).sum::<Duration>() + children.iter().map(|child| child.time).sum::<Duration>(),
            steps: self.steps(),
            children,
        }
    }

    fn steps(&self) -> Vec<Step> {
        let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let texts = &self.texts;
        let step = |what: String, did: String, time: Option<Duration>| Step { what, did, time, part: false };
        let part = |what: String, did: String, time: Duration| Step { what, did, time: Some(time), part: true };
        let (read, kept, out) = (count(&self.read), count(&self.kept), count(&self.out));
        let gathers = texts.group_by.is_some() || texts.order_by.is_some();
        let stopped = match (count(&self.stopped), self.runs.load(Ordering::Relaxed)) {
            (0, _) => String::new(),
            (_, 1) => ", then it was stopped".into(),
            (n, _) => format!(", stopped in {} runs", number(n)),
        };
        let mut steps = vec![step(format!("FROM {}", texts.from), rows(read) + &stopped, Some(self.source.get()))];
        if !self.conditions.is_empty() {
            let only = self.conditions.len() == 1;
            let text = if only { texts.conditions[0].clone() } else { format!("{} conditions", self.conditions.len()) };
            let time = self.conditions.iter().map(|c| c.spent.get()).sum();
            steps.push(step(format!("WHERE {text}"), format!("kept {}", rows(kept)), Some(time)));
            for (condition, text) in self.conditions.iter().zip(&texts.conditions).filter(|_| !only) {
                let did = match count(&condition.asked) {
                    0 => "never asked".into(),
                    asked => format!("true {} of {} times", number(count(&condition.held)), number(asked)),
                };
                steps.push(part(text.clone(), did, condition.spent.get()));
            }
        }
        let disk = match count(&self.spilled) {
            0 => ", in memory".into(),
            bytes => format!(", {} on disk", super::spill::size_text(bytes)),
        };
        let work = self.work.get();
        if let Some(keys) = &texts.group_by {
            let did = format!("{} in {} groups{disk}", rows(kept), number(count(&self.groups)));
            steps.push(step(format!("GROUP BY {keys}"), did, Some(work)));
        }
        if let Some(keys) = &texts.order_by {
            let (did, time) = match texts.group_by.is_some() {
                true => (rows(count(&self.groups)), None),
                false => (rows(kept) + &disk, Some(work)),
            };
            steps.push(step(format!("ORDER BY {keys}"), did, time));
        }
        if let Some(limit) = &texts.limit {
            let did = match (count(&self.limit_met), gathers, self.runs.load(Ordering::Relaxed)) {
                (0, ..) => "not reached".into(),
                (_, true, 1) => "reached, after all rows were read".into(),
                (_, false, 1) => "reached: the source was stopped".into(),
                (met, ..) => format!("reached in {} runs", number(met)),
            };
            steps.push(step(format!("LIMIT {limit}"), did, None));
        }
        let computed =
            self.columns.iter().zip(&texts.columns).filter_map(|(column, text)| Some((column, text.as_ref()?)));
        for (column, text) in computed {
            let did = match count(&column.asked) {
                0 => "never computed".into(),
                1 => "computed once".into(),
                n => format!("computed {} times", number(n)),
            };
            steps.push(step(format!("column {text}"), did, Some(column.spent.get())));
        }
        let bytes = if self.is_root {
            format!(", {} as JSON", super::spill::size_text(count(&self.bytes)))
        } else {
            String::new()
        };
        steps.push(step("rows out".into(), rows(out) + &bytes, (!gathers).then_some(work)));
        steps
    }
}
