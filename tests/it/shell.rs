//! `swoop query` at a terminal: a real pseudo-terminal, keys as a person presses them, and what the screen is told.

use std::{
    fs::File,
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use nix::pty::{Winsize, openpty};
use tempfile::TempDir;

use crate::harness::{LIMIT, command};

const PROMPT: &str = "vql> ";

/// The shell, and what it wrote to its terminal.
struct Terminal {
    child: Child,
    keys: File,
    written: Receiver<Vec<u8>>,
    /// The end of what was written, as far as it may belong to a sequence or character that is not complete.
    rest: Vec<u8>,
    /// Without escape sequences, from where the test has read.
    seen: String,
    home: Option<TempDir>,
}

impl Terminal {
    fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap())
    }

    fn start_in(home: TempDir) -> Self {
        let size = Winsize { ws_row: 40, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let side = || Stdio::from(pty.slave.try_clone().unwrap());
        let mut shell: Command = command();
        shell.arg("query").env("HOME", home.path()).env_remove("XDG_STATE_HOME").env("NO_COLOR", "1");
        shell.env("TERM", "xterm").stdin(side()).stdout(side()).stderr(side());
        // SAFETY: both are system calls alone, which a forked child may make.
        unsafe {
            shell.pre_exec(|| {
                // Ctrl-C is a signal only from a terminal that is one's own.
                rustix::process::setsid()?;
                rustix::process::ioctl_tiocsctty(std::io::stdin())?;
                Ok(())
            });
        }
        let child = shell.spawn().unwrap();
        let keys = File::from(pty.master);
        let mut screen = keys.try_clone().unwrap();
        let (send, written) = channel();
        // Ends with the terminal.
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = screen.read(&mut buffer) {
                if send.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { child, keys, written, rest: Vec::new(), seen: String::new(), home: Some(home) }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until `text` is written, and gives what came before it.
    fn until(&mut self, text: &str) -> String {
        let deadline = Instant::now() + LIMIT;
        let mut from = 0;
        loop {
            if let Some(at) = self.seen[from..].find(text) {
                let behind = self.seen.split_off(from + at + text.len());
                let before = std::mem::replace(&mut self.seen, behind);
                return before[..from + at].to_owned();
            }
            // It may have begun at the end.
            from = self.seen.floor_char_boundary(self.seen.len().saturating_sub(text.len()));
            match self.written.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => {
                    self.rest.extend(bytes);
                    self.seen.push_str(&take_plain(&mut self.rest));
                }
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{text:?} is not written within {LIMIT:?}: {}", self.seen)
                }
                Err(RecvTimeoutError::Disconnected) => panic!("{text:?} is never written: {}", self.seen),
            }
            assert!(Instant::now() < deadline, "{text:?} is not written within {LIMIT:?}");
        }
    }

    /// Types a query, and gives what is written until the next prompt.
    fn ask(&mut self, query: &str) -> String {
        self.press(query);
        self.press("\r");
        // The line that is left behind is the whole query, once the shell has taken it.
        self.until("\n");
        self.until(PROMPT)
    }

    fn ends(mut self) -> TempDir {
        let deadline = Instant::now() + LIMIT;
        let mut status = None;
        while status.is_none() {
            assert!(Instant::now() < deadline, "the shell does not end");
            // The terminal is read until it is closed, which it is when the shell is gone.
            match self.written.recv_timeout(Duration::from_millis(50)) {
                Ok(_) | Err(RecvTimeoutError::Timeout) => status = self.child.try_wait().unwrap(),
                Err(RecvTimeoutError::Disconnected) => status = Some(self.child.wait().unwrap()),
            }
        }
        assert!(status.is_some_and(|status| status.success()), "{status:?}");
        self.home.take().unwrap()
    }
}

impl Drop for Terminal {
    /// A test that fails leaves no query behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Takes the text out of the bytes, without escape sequences. What is not complete yet stays.
fn take_plain(bytes: &mut Vec<u8>) -> String {
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => text.len(),
        Err(error) => error.valid_up_to(),
    };
    let rest = bytes.split_off(valid);
    let text = String::from_utf8(std::mem::replace(bytes, rest)).unwrap();
    let mut out = String::new();
    let mut left = &*text;
    while let Some(at) = left.find('\x1b') {
        out.push_str(&left[..at]);
        let sequence = &left[at..];
        let Some((end, last)) = sequence.char_indices().skip(2).find(|(_, c)| ('@'..='~').contains(c)) else {
            bytes.splice(..0, sequence.bytes());
            return out;
        };
        left = &sequence[end + last.len_utf8()..];
    }
    out + left
}

#[test]
fn a_session_at_the_prompt() {
    let mut shell = Terminal::start();
    shell.until(PROMPT);

    // A table, and how long it took.
    let table = shell.ask("SELECT _value AS N, format(format='<%v>', args=_value) AS Text FROM range(end=3)");
    assert!(table.contains("N  Text\r\n─  ────\r\n0  <0>\r\n1  <1>\r\n2  <2>\r\n"), "{table}");
    assert!(table.contains("3 rows in "), "{table}");

    // What a LET defines stays. It gives no rows, so nothing is said.
    shell.ask("LET Twice(x) = x * 2");
    let twice = shell.ask("SELECT Twice(x=21) AS Answer FROM scope()");
    assert!(twice.contains("Answer\r\n──────\r\n    42\r\n"), "{twice}");

    // A mistake is shown at its place, and the prompt is back.
    let wrong = shell.ask("SELECT * FORM range(end=3)");
    assert!(wrong.contains("did you mean `FROM`?") && wrong.contains("^^^^"), "{wrong}");
    let logged = shell.ask("SELECT int(int=Nothing) FROM scope()");
    assert!(logged.contains("error") || logged.contains("warning"), "{logged}");

    // Text that is not complete goes on in the next line.
    shell.press("SELECT * FROM range(\r");
    shell.until("range(");
    shell.press("end=2)\r");
    shell.until("2 rows in ");
    shell.until(PROMPT);

    // What comes from a file name or a registry cannot drive the terminal.
    shell.press("SELECT '\\x1b]0;title\\x07' AS T FROM scope()\r");
    let before = shell.until("\\x1b]0;title\\x07\r\n");
    assert!(!before.contains('\x07'), "{before:?}");
    shell.until(PROMPT);

    let listed = shell.ask(".lets");
    assert!(listed.contains("Twice(x) = x * 2"), "{listed}");
    let described = shell.ask(".describe range");
    assert!(described.contains("range(") && described.contains("whole number"), "{described}");
    shell.ask("LET Evens = SELECT _value AS E FROM range(end=4) WHERE _value % 2 = 0");
    let plan = shell.ask(".explain SELECT E FROM Evens");
    assert!(plan.contains("LET Evens") && plan.contains("range(end=4)") && plan.contains("2 rows in "), "{plan}");
    // What is typed ahead is not lost.
    shell.press("SELECT 11 AS A FROM scope()\rSELECT 22 AS B FROM scope()\r");
    for number in ["11\r\n", "22\r\n"] {
        shell.until(number);
        shell.until(PROMPT);
    }
    shell.ask(".format json");
    let json = shell.ask("SELECT 1 AS A FROM scope()");
    assert!(json.contains("[\r\n {\"A\":1}\r\n]"), "{json}");

    // Ctrl-D leaves.
    shell.press("\x04");
    let home = shell.ends();

    // What was typed is remembered, for its owner alone.
    let history = home.path().join(".local/state/swoop/query-history");
    assert_eq!(history.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(std::fs::read_to_string(&history).unwrap().contains("LET Twice(x) = x * 2"));
    let mut later = Terminal::start_in(home);
    later.until(PROMPT);
    later.press("\x1b[A");
    later.until("SELECT 1 AS A FROM scope()");
    later.press("\r");
    later.until("1 row in ");
    later.until(PROMPT);
    later.press("\x04");
    later.ends();
}

#[test]
fn ctrl_c_stops_the_query_and_not_the_shell() {
    let mut shell = Terminal::start();
    shell.until(PROMPT);
    // At the prompt it drops the line.
    shell.press("SELECT nonsense");
    shell.until("nonsense");
    shell.press("\x03");
    shell.until(PROMPT);

    for endless in [
        "SELECT count() AS N FROM range(end=10000000000)",
        "SELECT sleep(time=3600) FROM range(end=10)",
        "SELECT * FROM clock(period=1)",
    ] {
        shell.press(endless);
        shell.press("\r");
        shell.until("\n");
        if endless.contains("count") {
            // Rows come before it ends.
            shell.until("100");
        }
        let pressed = Instant::now();
        shell.press("\x03");
        let before = shell.until("cancelled after ");
        // A busy machine may be slow; a query that does not hear would be left alone after 5 seconds.
        assert!(pressed.elapsed() < Duration::from_secs(4), "{endless}: {:?}", pressed.elapsed());
        assert!(before.contains("^C"), "{before}");
        shell.until(PROMPT);
    }

    // The variables are there as before, and the next query is not cancelled.
    let next = shell.ask("SELECT 1 + 1 AS Two FROM scope()");
    assert!(next.contains("1 row in "), "{next}");
    shell.press(".quit\r");
    shell.ends();
}

#[test]
fn tab_completes() {
    let mut shell = Terminal::start();
    shell.until(PROMPT);
    shell.press("SEL\t");
    shell.until("SELECT ");
    shell.press("_value FR\t");
    shell.until("FROM ");
    shell.press("rang\t");
    shell.until("range(");
    // One of several: all are shown, with what they are.
    shell.press("\t");
    let listed = shell.until("step=  ");
    assert!(listed.contains("end=    whole number, required"), "{listed}");
    shell.press("end=2)\r");
    shell.until("2 rows in ");
    shell.until(PROMPT);
    shell.press(".desc\t");
    shell.until(".describe ");
    shell.press("\x03");
    shell.until(PROMPT);
    shell.press("\x04");
    shell.ends();
}

#[test]
fn without_a_terminal_the_script_is_read() {
    let mut child =
        command().args(["query", "--format", "jsonl"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"LET x = 5\nSELECT x + 1 AS y FROM scope()\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "{\"y\":6}\n");
}
