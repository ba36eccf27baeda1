//! `netstat()`.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{prelude::*, proc::Proc};

static NETSTAT: Signature =
    Signature::new("netstat", "The network sockets of the host, with the process that has each of them open.", &[])
        .group(Group::Host)
        .examples(&["SELECT Pid, Name, Type, Laddr.IP, Laddr.Port, Status FROM netstat() WHERE Status = 'LISTEN'"]);

const COLUMNS: [&str; 12] = [
    "Pid",
    "Name",
    "Family",
    "Type",
    "Status",
    "Laddr",
    "Raddr",
    "Timestamp",
    "FamilyString",
    "TypeString",
    "Uid",
    "Inode",
];

/// A line of `/proc/net/tcp` and its like.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Socket {
    local: (IpAddr, u16),
    remote: (IpAddr, u16),
    status: u8,
    uid: u32,
    inode: u64,
}

fn run(cx: &Context<'_>, _args: &Args<'_>, emit: &mut Emit<'_>) -> Result<Flow, CallError> {
    if !cfg!(target_os = "linux") {
        return Err(not_here("netstat"));
    }
    let proc = Proc::host();
    let owners = proc.socket_owners(&mut || cx.charge(1).is_continue());
    let columns = Columns::new(COLUMNS);
    let mut names = HashMap::new();
    for (file, family, kind) in
        [("tcp", "IPv4", "TCP"), ("tcp6", "IPv6", "TCP"), ("udp", "IPv4", "UDP"), ("udp6", "IPv6", "UDP")]
    {
        let table = proc.read(&format!("net/{file}")).unwrap_or_default();
        for socket in sockets(&table) {
            let pid = owners.get(&socket.inode).copied();
            let name = pid.map_or(Value::Null, |pid| {
                names
                    .entry(pid)
                    .or_insert_with(|| proc.process(pid).map_or(Value::Null, |p| Value::from_bytes(&p.name)))
                    .clone()
            });
            let row = Row::new(&columns, values(&socket, pid, name, family, kind));
            if cx.charge(1).is_break() || emit(row).is_break() {
                return Ok(BREAK);
            }
        }
    }
    Ok(CONTINUE)
}

fn values(socket: &Socket, pid: Option<i64>, name: Value, family: &str, kind: &str) -> Vec<Value> {
    let address = |(ip, port): (IpAddr, u16)| Dict::of([("IP", ip.to_string().into()), ("Port", port.into())]).into();
    vec![
        pid.into(),
        name,
        family.into(),
        kind.into(),
        // A datagram socket has no state to speak of.
        if kind == "TCP" { status(socket.status).into() } else { "".into() },
        address(socket.local),
        address(socket.remote),
        Value::Null,
        family.into(),
        kind.into(),
        socket.uid.into(),
        socket.inode.into(),
    ]
}

/// The kernel's `enum tcp_state`.
fn status(number: u8) -> &'static str {
    match number {
        1 => "ESTABLISHED",
        2 => "SYN_SENT",
        3 => "SYN_RECV",
        4 => "FIN_WAIT1",
        5 => "FIN_WAIT2",
        6 => "TIME_WAIT",
        7 => "CLOSE",
        8 => "CLOSE_WAIT",
        9 => "LAST_ACK",
        10 => "LISTEN",
        11 => "CLOSING",
        12 => "NEW_SYN_RECV",
        _ => "UNKNOWN",
    }
}

/// Lines that are none are left out; the first is the heading.
fn sockets(table: &[u8]) -> impl Iterator<Item = Socket> {
    table.split(|byte| *byte == b'\n').skip(1).filter_map(|line| parse(std::str::from_utf8(line).ok()?))
}

fn parse(line: &str) -> Option<Socket> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    Some(Socket {
        local: address(fields.get(1)?)?,
        remote: address(fields.get(2)?)?,
        status: u8::from_str_radix(fields.get(3)?, 16).ok()?,
        uid: fields.get(7)?.parse().ok()?,
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// `0100007F:1F90`: words of four bytes in the machine's own order, the port in network order.
fn address(text: &str) -> Option<(IpAddr, u16)> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for n in 0..4 {
                bytes[n * 4..][..4].copy_from_slice(&word(n * 8)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some((ip, port))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&NETSTAT, run));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn tables_are_read() {
        let table = b"  sl  local_address rem_address   st tx_queue\n\
            \x20  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100\n\
            garbage\n\
            \x20  1: 0100007F:zzzz 00000000:0000 0A 0:0 0:0 0 0 0 1 1\n\
            \x20  2: B80D01200000000067452301EFCDAB89:0050 0000000000000000FFFF00000100007F:C350 01 0:0 00:0 0 0 0 4712\n";
        let found: Vec<Socket> = sockets(table).collect();
        assert_eq!(found.len(), 2, "{found:?}");
        let json = |n: usize, pid, kind| {
            Row::new(&Columns::new(COLUMNS), values(&found[n], pid, Value::from("x"), "F", kind)).to_json()
        };
        assert!(json(0, Some(7), "TCP").starts_with(
            r#"{"Pid":7,"Name":"x","Family":"F","Type":"TCP","Status":"LISTEN","Laddr":{"IP":"127.0.0.1","Port":8080},"Raddr":{"IP":"0.0.0.0","Port":0}"#
        ));
        let second = json(1, None, "UDP");
        assert!(second.starts_with(r#"{"Pid":null,"Name":"x","Family":"F","Type":"UDP","Status":"""#), "{second}");
        assert!(second.contains(r#"{"IP":"2001:db8::123:4567:89ab:cdef","Port":80}"#), "{second}");
        assert!(second.contains(r#"{"IP":"::ffff:127.0.0.1","Port":50000}"#), "{second}");
    }

    #[test]
    fn owners_are_found_in_one_pass() {
        let dir = super::super::proc::tests::fake();
        let owners = Proc::at(dir.path()).socket_owners(&mut || true);
        assert_eq!(owners, HashMap::from([(4711, 1), (4712, 20)]));
        assert!(Proc::at(dir.path()).socket_owners(&mut || false).is_empty());
    }
}
