//! `interfaces()`.

use super::prelude::*;

static INTERFACES: Signature = Signature::new("interfaces", "The network interfaces of the host.", &[])
    .group(Group::Host)
    .examples(&["SELECT Name, HardwareAddrString, Addrs FROM interfaces() WHERE Up"]);

const COLUMNS: [&str; 8] = ["Index", "MTU", "Name", "HardwareAddr", "HardwareAddrString", "Flags", "Up", "Addrs"];

/// What the system says of an interface, gathered from its several answers.
#[derive(Clone, Debug, Default, PartialEq)]
struct Interface {
    name: String,
    index: u32,
    mtu: Option<i64>,
    hardware: Vec<u8>,
    flags: Vec<&'static str>,
    up: bool,
    /// `10.0.0.2/24`
    addresses: Vec<String>,
}

fn run(cx: &Context<'_>, _args: &Args<'_>, emit: &mut Emit<'_>) -> Result<Flow, CallError> {
    let columns = Columns::new(COLUMNS);
    for interface in host()? {
        if cx.cancelled() || emit(Row::new(&columns, values(interface))).is_break() {
            return Ok(BREAK);
        }
    }
    Ok(CONTINUE)
}

fn values(interface: Interface) -> Vec<Value> {
    let pairs: Vec<String> = interface.hardware.iter().map(|byte| format!("{byte:02x}")).collect();
    vec![
        interface.index.into(),
        interface.mtu.into(),
        interface.name.into(),
        if interface.hardware.is_empty() { Value::Null } else { Value::Bytes(interface.hardware.into()) },
        pairs.join(":").into(),
        interface.flags.join("|").into(),
        interface.up.into(),
        interface.addresses.into(),
    ]
}

#[cfg(target_os = "linux")]
fn host() -> Result<Vec<Interface>, CallError> {
    use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags};

    let names = [
        (InterfaceFlags::IFF_UP, "up"),
        (InterfaceFlags::IFF_BROADCAST, "broadcast"),
        (InterfaceFlags::IFF_LOOPBACK, "loopback"),
        (InterfaceFlags::IFF_POINTOPOINT, "pointtopoint"),
        (InterfaceFlags::IFF_MULTICAST, "multicast"),
        (InterfaceFlags::IFF_RUNNING, "running"),
        (InterfaceFlags::IFF_PROMISC, "promiscuous"),
    ];
    let mut found: Vec<Interface> = Vec::new();
    // One answer for each address, of the hardware's too.
    for answer in getifaddrs().map_err(|error| CallError::new(format!("the interfaces cannot be listed: {error}")))? {
        let name = answer.interface_name;
        let at = match found.iter().position(|interface| interface.name == name) {
            Some(at) => at,
            None => {
                let flags = names.iter().filter(|(flag, _)| answer.flags.contains(*flag)).map(|(_, name)| *name);
                found.push(Interface {
                    index: nix::net::if_::if_nametoindex(name.as_str()).unwrap_or(0),
                    mtu: mtu(&name),
                    flags: flags.collect(),
                    up: answer.flags.contains(InterfaceFlags::IFF_UP),
                    name,
                    ..Interface::default()
                });
                found.len() - 1
            }
        };
        let interface = &mut found[at];
        let Some(address) = answer.address else { continue };
        let mask = answer.netmask;
        if let Some(v4) = address.as_sockaddr_in() {
            let prefix = mask.and_then(|m| Some(u32::from(m.as_sockaddr_in()?.ip()).count_ones()));
            interface.addresses.push(format!("{}/{}", v4.ip(), prefix.unwrap_or(32)));
        } else if let Some(v6) = address.as_sockaddr_in6() {
            let prefix = mask.and_then(|m| Some(u128::from(m.as_sockaddr_in6()?.ip()).count_ones()));
            interface.addresses.push(format!("{}/{}", v6.ip(), prefix.unwrap_or(128)));
        } else if let Some(link) = address.as_link_addr()
            && let Some(hardware) = link.addr()
            && hardware.iter().any(|byte| *byte != 0)
        {
            interface.hardware = hardware.to_vec();
        }
    }
    found.sort_by_key(|interface| interface.index);
    Ok(found)
}

#[cfg(not(target_os = "linux"))]
fn host() -> Result<Vec<Interface>, CallError> {
    Err(not_here("interfaces"))
}

#[cfg(target_os = "linux")]
fn mtu(name: &str) -> Option<i64> {
    // The kernel takes no name with a slash in it.
    std::fs::read_to_string(format!("/sys/class/net/{name}/mtu")).ok()?.trim().parse().ok()
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&INTERFACES, run));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_interface_becomes_a_row() {
        let interface = Interface {
            name: "eth0".into(),
            index: 2,
            mtu: Some(1500),
            hardware: vec![2, 0xfc, 0, 0, 0, 1],
            flags: vec!["up", "running"],
            up: true,
            addresses: vec!["10.0.0.2/24".into()],
        };
        let row = Row::new(&Columns::new(COLUMNS), values(interface));
        assert_eq!(row.get("HardwareAddrString").unwrap().to_text().as_ref(), "02:fc:00:00:00:01");
        assert_eq!(row.get("Addrs").unwrap().to_json(), r#"["10.0.0.2/24"]"#);
        assert_eq!(row.get("Flags").unwrap().to_text().as_ref(), "up|running");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_loopback_is_found() {
        let all = host().unwrap();
        let lo = all.iter().find(|interface| interface.name == "lo").unwrap();
        assert!(lo.index > 0 && lo.flags.contains(&"loopback") && lo.hardware.is_empty(), "{lo:?}");
    }
}
