//! `execve()`.

use std::{
    io::Read,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    time::{Duration, Instant},
};

use super::prelude::*;

/// Output that is held before a row is made of it.
const DEFAULT_LENGTH: i64 = 10 << 20;
const MAX_LENGTH: i64 = 128 << 20;

const TICK: Duration = Duration::from_millis(20);

/// A program that has ended may have left others that keep its output open: they are not waited for longer.
const AFTER_EXIT: Duration = Duration::from_millis(500);

static EXECVE: Signature = Signature::new(
    "execve",
    "Runs a program, without a shell. It is killed, with all that it started, when the query stops.",
    &[
        req("argv", Text, "The program and its arguments").repeated(),
        opt("sep", Text, "Makes a row of each piece of the output that this ends, as it comes"),
        opt("length", Int, "Makes a row when this much output is there, in bytes; 10485760 without"),
        opt("env", DictArg, "Variables to add to the agent's environment"),
        opt("cwd", Text, "The directory to run in"),
        opt("secret", Text, "Taken for the sake of existing artifacts; not supported"),
    ],
)
.group(Group::Actions)
.side_effects()
.examples(&[
    "SELECT Stdout, ReturnCode FROM execve(argv=('echo', 'hello'))",
    "SELECT Stdout FROM execve(argv=('ls', '/etc'), sep='\\n') LIMIT 3",
]);

/// A piece of output, or its end.
enum Piece {
    Out(Vec<u8>),
    Err(Vec<u8>),
    End,
}

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut Emit<'_>) -> Result<Flow, CallError> {
    let argv = args.strings("argv")?;
    let [program, rest @ ..] = &argv[..] else {
        return Err("argv: there is no program to run".into());
    };
    if args.opt_str("secret")?.is_some_and(|secret| !secret.is_empty()) {
        return Err("secret: there are no secrets here yet: pass the arguments themselves".into());
    }
    let separator = args.bytes("sep")?;
    let length = args.opt_int("length")?.filter(|n| *n > 0).unwrap_or(DEFAULT_LENGTH).min(MAX_LENGTH) as usize;
    let mut command = Command::new(&**program);
    command.args(rest.iter().map(|arg| &**arg)).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(variables) = args.dict("env")? {
        for (name, value) in variables.iter() {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(CallError::new(format!("env: `{name}` cannot be a variable's name")));
            }
            command.env(&**name, &*value.to_text());
        }
    }
    if let Some(directory) = args.opt_str("cwd")?.filter(|directory| !directory.is_empty()) {
        command.current_dir(&*directory);
    }
    let mut program_run = Program::start(command).map_err(|error| format!("{program}: {error}"))?;
    let mut rows = Rows {
        columns: Columns::new(["Stdout", "Stderr", "ReturnCode", "Complete"]),
        separator: separator.to_vec(),
        length,
        out: Vec::new(),
        err: Vec::new(),
    };
    loop {
        if cx.charge(1).is_break() {
            return Ok(BREAK);
        }
        match program_run.next() {
            Next::Piece(Piece::Out(data)) => rows.out.extend_from_slice(&data),
            Next::Piece(Piece::Err(data)) => rows.err.extend_from_slice(&data),
            Next::Piece(Piece::End) | Next::Nothing => {}
            Next::Exited(status) => return Ok(rows.last(status, emit)),
        }
        if rows.ready(emit).is_break() {
            return Ok(BREAK);
        }
    }
}

/// What was put out and is in no row yet.
struct Rows {
    columns: std::sync::Arc<Columns>,
    separator: Vec<u8>,
    length: usize,
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Rows {
    /// Gives the rows that are full.
    fn ready(&mut self, emit: &mut Emit<'_>) -> Flow {
        if !self.separator.is_empty() {
            let mut from = 0;
            let mut flow = CONTINUE;
            while let Some(at) = memchr::memmem::find(&self.out[from..], &self.separator) {
                flow = emit(self.row(&self.out[from..from + at], b"", None));
                from += at + self.separator.len();
                if flow.is_break() {
                    break;
                }
            }
            self.out.drain(..from);
            flow?;
        }
        while self.out.len() >= self.length || self.err.len() >= self.length {
            let (out, err) = (self.out.len().min(self.length), self.err.len().min(self.length));
            let row = self.row(&self.out[..out], &self.err[..err], None);
            self.out.drain(..out);
            self.err.drain(..err);
            emit(row)?;
        }
        CONTINUE
    }

    fn last(&mut self, status: ExitStatus, emit: &mut Emit<'_>) -> Flow {
        self.ready(emit)?;
        emit(self.row(&self.out, &self.err, Some(code(status))))
    }

    fn row(&self, out: &[u8], err: &[u8], code: Option<i64>) -> Row {
        let values = vec![Value::from_bytes(out), Value::from_bytes(err), code.into(), code.is_some().into()];
        Row::new(&self.columns, values)
    }
}

/// The exit status; of a program ended by a signal, minus its number.
fn code(status: ExitStatus) -> i64 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return -i64::from(signal);
    }
    status.code().map_or(-1, i64::from)
}

/// A program that runs; it is killed when this is dropped.
struct Program {
    child: Child,
    pieces: Receiver<Piece>,
    /// Outputs that are not at their end.
    open: u8,
    exited: Option<(ExitStatus, Instant)>,
}

enum Next {
    Piece(Piece),
    Nothing,
    Exited(ExitStatus),
}

impl Program {
    fn start(mut command: Command) -> std::io::Result<Self> {
        // A group of its own, so that what it starts can be killed with it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        // A program that writes faster than rows are taken waits on a full pipe.
        let (send, pieces) = sync_channel(4);
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let program = Self { child, pieces, open: 2, exited: None };
        forward(out, send.clone(), Piece::Out)?;
        forward(err, send, Piece::Err)?;
        Ok(program)
    }

    fn next(&mut self) -> Next {
        match self.pieces.recv_timeout(if self.open == 0 { Duration::ZERO } else { TICK }) {
            Ok(Piece::End) => {
                self.open = self.open.saturating_sub(1);
                return Next::Piece(Piece::End);
            }
            Ok(piece) => return Next::Piece(piece),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        if self.exited.is_none() {
            if self.open == 0 {
                // Nothing wakes us any more: look again after a moment.
                std::thread::sleep(TICK / 4);
            }
            self.exited = self.child.try_wait().ok().flatten().map(|status| (status, Instant::now()));
        }
        match self.exited {
            Some((status, since)) if self.open == 0 || since.elapsed() > AFTER_EXIT => Next::Exited(status),
            _ => Next::Nothing,
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.exited.is_some() {
            return;
        }
        #[cfg(unix)]
        {
            let group = nix::unistd::Pid::from_raw(self.child.id() as i32);
            let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads an output on a thread of its own, which ends with the output or when nobody takes more.
fn forward(
    from: Option<impl Read + Send + 'static>,
    to: SyncSender<Piece>,
    kind: fn(Vec<u8>) -> Piece,
) -> std::io::Result<()> {
    let Some(mut from) = from else { return Ok(()) };
    let read = move || {
        let mut buffer = vec![0; 64 << 10];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(len) => {
                    if to.send(kind(buffer[..len].to_vec())).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let _ = to.send(Piece::End);
    };
    std::thread::Builder::new().name("execve".into()).spawn(read).map(drop)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&EXECVE, run));
}
