//! `glob()`.

use std::{collections::HashSet, sync::Arc};

use super::{
    pattern::{self, Part},
    prelude::*,
    stat::{COLUMNS, values},
};
use vql::{
    Accessor, OsPath,
    accessor::{Kind, Meta},
};

static GLOB: Signature = Signature::new(
    "glob",
    "The files whose paths match any of the patterns, as they are found. `*`, `?`, `[a-z]` match within a name, \
     `{a,b}` either of two texts, `**` any number of directories (up to 30), `**5` up to five.",
    &[
        req("globs", Path, "The patterns").repeated(),
        opt("root", Path, "The directory that the patterns start from"),
        ACCESSOR,
        opt("nosymlink", Bool, "Do not go into directories through links"),
        opt("recursion_callback", Text, "A lambda that gets the row of a directory: false leaves out what is below"),
        opt("one_filesystem", Bool, "Wildcards do not lead into other file systems; names do"),
    ],
)
.group(Group::Files)
.examples(&[
    "SELECT OSPath, Size FROM glob(globs='/etc/*.conf') LIMIT 5",
    "SELECT OSPath FROM glob(globs=('*.d/**2', 'passwd'), root='/etc') LIMIT 5",
    "SELECT OSPath FROM glob(globs='/etc/**', recursion_callback='x => x.Name != \"ssl\"') LIMIT 5",
]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut Emit<'_>) -> Result<Flow, CallError> {
    let accessor = args.accessor()?;
    let mut patterns = Vec::new();
    for glob in args.os_paths("globs", &*accessor) {
        patterns.extend(pattern::parse(glob.bytes()).map_err(|error| format!("globs: {}: {error}", glob.show()))?);
    }
    let mut root = args.os_path("root", &*accessor);
    if root.is_empty() {
        // The root of the host, or of the archive that the path is in.
        let top = OsPath::new(root.kind(), "/");
        root = root.delegate().map_or(top.clone(), |archive| top.within(archive.clone()));
    }
    let callback = args.lambda("recursion_callback")?;
    let columns = Columns::new(COLUMNS);
    let mut walk = Walk {
        cx,
        accessor: &*accessor,
        columns: &columns,
        emit,
        follow: !args.bool("nosymlink")?,
        stay: args.bool("one_filesystem")?,
        enter: &|row: &Row| match &callback {
            Some(lambda) => cx.truth(&cx.call(lambda, &[row.to_dict().into()])),
            None => true,
        },
        above: Vec::new(),
        through_links: HashSet::new(),
    };
    let goals = walk.goals(patterns.iter().map(|parts| Goal { parts, depth: None }));
    Ok(walk.directory(&root, goals))
}

/// What is left of a pattern at some directory.
#[derive(Clone, Copy, Debug)]
struct Goal<'p> {
    parts: &'p [Part],
    /// Directories that the `**` at the head may still take; None before it took any.
    depth: Option<u32>,
}

/// A walk through the tree that looks for all patterns at once, so that each directory is read, and each path
/// given, once.
struct Walk<'w, 'c> {
    cx: &'w Context<'c>,
    accessor: &'w dyn Accessor,
    columns: &'w Arc<Columns>,
    emit: &'w mut Emit<'c>,
    follow: bool,
    /// Wildcards do not lead into other file systems.
    stay: bool,
    enter: &'w dyn Fn(&Row) -> bool,
    /// The directories that we are in, to notice a link that leads back.
    above: Vec<(u64, u64)>,
    /// Directories entered through a link by `**`: once each, as links across a tree (`/sys`) lead everywhere.
    through_links: HashSet<(u64, u64)>,
}

impl<'p> Walk<'_, '_> {
    /// The goals, and those that `**` gives by standing for nothing; each once.
    fn goals(&self, from: impl Iterator<Item = Goal<'p>>) -> Vec<Goal<'p>> {
        let mut goals: Vec<Goal<'p>> = Vec::new();
        for goal in from {
            let mut goal = goal;
            loop {
                if !goal.parts.is_empty() {
                    goals.push(goal);
                }
                match goal.parts {
                    [Part::Deep(_), rest @ ..] if !rest.is_empty() => goal = Goal { parts: rest, depth: None },
                    _ => break,
                }
            }
        }
        // Two `**` in a row would double the goals at each level. There may be thousands of patterns.
        if goals.len() > 1 {
            let mut seen = HashSet::with_capacity(goals.len());
            goals.retain(|goal| seen.insert((goal.parts.as_ptr(), goal.parts.len(), goal.depth)));
        }
        goals
    }

    /// Looks for the goals in a directory: gives what is found, then goes down.
    fn directory(&mut self, path: &OsPath, goals: Vec<Goal<'p>>) -> Flow {
        if goals.is_empty() {
            return CONTINUE;
        }
        let meta = self.accessor.stat(self.cx, path, true).ok();
        let id = meta.as_ref().and_then(|meta| meta.id);
        if let Some(id) = id {
            if self.above.contains(&id) {
                return CONTINUE;
            }
            self.above.push(id);
        }
        let result = self.entries(path, &goals);
        if id.is_some() {
            self.above.pop();
        }
        result
    }

    fn entries(&mut self, path: &OsPath, goals: &[Goal<'p>]) -> Flow {
        // Where all goals name what they want, the directory need not be read (nor be readable).
        let names: Option<Vec<&[u8]>> = goals
            .iter()
            .map(|goal| match &goal.parts[0] {
                Part::Name(name) if !self.accessor.ignores_case() => Some(&name[..]),
                _ => None,
            })
            .collect();
        let mut below = Vec::new();
        if let Some(mut names) = names {
            names.sort_unstable();
            names.dedup();
            for name in names {
                // `..` would leave the root that was given.
                if name == b"." || name == b".." {
                    continue;
                }
                self.entry(path, name, Kind::Unknown, goals, &mut below)?;
            }
        } else {
            let mut flow = CONTINUE;
            let accessor = self.accessor;
            let listed = accessor.list(self.cx, path, &mut |entry| {
                flow = self.entry(path, &entry.name, entry.kind, goals, &mut below);
                flow
            });
            if let Err(error) = listed {
                self.trouble(path, &error);
            }
            flow?;
        }
        for (name, goals) in below {
            self.directory(&path.join(&name), goals)?;
        }
        CONTINUE
    }

    /// Gives an entry if it is what a goal ends with, and notes it if a goal leads through it.
    fn entry(
        &mut self,
        path: &OsPath,
        name: &[u8],
        kind: Kind,
        goals: &[Goal<'p>],
        below: &mut Vec<(Vec<u8>, Vec<Goal<'p>>)>,
    ) -> Flow {
        self.cx.charge(1)?;
        let nocase = self.accessor.ignores_case();
        let (mut found, mut named, mut deeper) = (false, false, Vec::new());
        for goal in goals {
            let [part, rest @ ..] = goal.parts else { continue };
            match part {
                Part::Deep(most) => {
                    let left = goal.depth.unwrap_or(*most);
                    if left == 0 {
                        continue;
                    }
                    found |= rest.is_empty();
                    if left > 1 || !rest.is_empty() {
                        deeper.push(Goal { parts: goal.parts, depth: Some(left - 1) });
                    }
                }
                part if pattern::matches(part, name, nocase) => {
                    found |= rest.is_empty();
                    named |= matches!(part, Part::Name(_));
                    deeper.push(Goal { parts: rest, depth: None });
                }
                _ => {}
            }
        }
        let deeper = self.goals(deeper.into_iter());
        let may_enter = !deeper.is_empty() && matches!(kind, Kind::Directory | Kind::Link | Kind::Unknown);
        if !found && !may_enter {
            return CONTINUE;
        }
        let full = path.join(name);
        let meta = match self.accessor.stat(self.cx, &full, false) {
            Ok(meta) => meta,
            Err(error) => {
                self.trouble(&full, &error);
                return CONTINUE;
            }
        };
        let row = || Row::new(self.columns, values(&full, name, &meta));
        if found {
            (self.emit)(row())?;
        }
        if may_enter && self.enters(&full, &meta, named, &deeper) && (self.enter)(&row()) {
            below.push((name.to_vec(), deeper));
        }
        CONTINUE
    }

    /// Whether the walk goes into what is described.
    fn enters(&mut self, path: &OsPath, meta: &Meta, named: bool, goals: &[Goal<'p>]) -> bool {
        let target;
        let directory = match meta.kind {
            Kind::Directory => meta,
            Kind::Link if self.follow => match self.accessor.stat(self.cx, path, true) {
                Ok(found) if found.kind == Kind::Directory => {
                    target = found;
                    &target
                }
                _ => return false,
            },
            _ => return false,
        };
        let Some(id) = directory.id else { return true };
        let elsewhere = self.above.last().is_some_and(|above| above.0 != id.0);
        if (self.stay && !named && elsewhere) || self.above.contains(&id) {
            return false;
        }
        let deep = goals.iter().any(|goal| matches!(goal.parts[0], Part::Deep(_)));
        meta.kind != Kind::Link || !deep || self.through_links.insert(id)
    }

    /// What goes away while we look, or was never there, is no trouble.
    fn trouble(&self, path: &OsPath, error: &std::io::Error) {
        use std::io::ErrorKind::{NotADirectory, NotFound};
        if !matches!(error.kind(), NotFound | NotADirectory) {
            self.cx.log(vql::Level::Debug, format!("glob: {}: {error}", path.show()));
        }
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&GLOB, run));
}
