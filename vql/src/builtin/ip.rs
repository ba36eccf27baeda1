//! `ip()`.

use std::net::{IpAddr, Ipv4Addr};

use super::prelude::*;

static IP: Signature = Signature::new(
    "ip",
    "An address. It prints as text, and has the members `String`, `IsPrivate`, `IsLoopback`, `IsMulticast`, \
     `IsInterfaceLocalMulticast`, `IsLinkLocalMulticast`, `IsLinkLocalUnicast`, `IsGlobalUnicast`, `IsUnspecified` and \
     `Version`. An IPv4 address within an IPv6 one is taken out of it.",
    &[
        opt("parse", Text, "The address as text"),
        opt("netaddr4_le", Int, "An IPv4 address as a little-endian number of 32 bits"),
        opt("netaddr4_be", Int, "An IPv4 address as a big-endian number of 32 bits"),
    ],
)
.group(Group::Network)
.examples(&[
    "SELECT ip(parse='10.1.2.3').IsPrivate AS Private FROM scope()",
    "SELECT ip(parse='0:0:0:0:0:FFFF:129.144.52.38') AS Address FROM scope()",
    "SELECT ip(netaddr4_le=50462986) AS Address FROM scope()",
]);

fn ip(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let address = if let Some(number) = args.opt_int("netaddr4_le")? {
        // Structs give it with a sign, or with what stands behind it in 64 bits.
        IpAddr::from(Ipv4Addr::from((number as u32).swap_bytes()))
    } else if let Some(number) = args.opt_int("netaddr4_be")? {
        IpAddr::from(Ipv4Addr::from(number as u32))
    } else {
        let text = args.str("parse")?;
        let bare = text.trim().trim_start_matches('[').trim_end_matches(']');
        let address: IpAddr = bare.parse().map_err(|_| CallError::new(format!("`{text}` is no address")))?;
        address.to_canonical()
    };
    Ok(Value::Object(Arc::new(Address(address))))
}

#[derive(Debug)]
struct Address(IpAddr);

impl crate::value::Object for Address {
    fn type_name(&self) -> &'static str {
        "net.IP"
    }

    fn get(&self, name: &str) -> Option<Value> {
        let ip = self.0;
        let v6 = |test: fn(&[u16; 8]) -> bool| match ip {
            IpAddr::V4(_) => false,
            IpAddr::V6(v6) => test(&v6.segments()),
        };
        let link_local = match ip {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(_) => v6(|s| s[0] & 0xffc0 == 0xfe80),
        };
        let link_local_multicast = match ip {
            IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
            IpAddr::V6(_) => v6(|s| s[0] & 0xff0f == 0xff02),
        };
        let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
        let other = ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || link_local || broadcast;
        Some(match name {
            "String" => Value::from(ip.to_string()),
            "IsPrivate" => match ip {
                IpAddr::V4(v4) => v4.is_private().into(),
                IpAddr::V6(v6) => v6.is_unique_local().into(),
            },
            "IsLoopback" => ip.is_loopback().into(),
            "IsMulticast" => ip.is_multicast().into(),
            "IsInterfaceLocalMulticast" => v6(|s| s[0] & 0xff0f == 0xff01).into(),
            "IsLinkLocalMulticast" => link_local_multicast.into(),
            "IsLinkLocalUnicast" => link_local.into(),
            "IsGlobalUnicast" => (!other).into(),
            "IsUnspecified" => ip.is_unspecified().into(),
            "Version" => if ip.is_ipv4() { 4 } else { 6 }.into(),
            _ => return None,
        })
    }

    fn text(&self) -> Option<Arc<str>> {
        Some(Arc::from(self.0.to_string()))
    }

    fn packed(&self) -> Option<(Value, crate::value::Unpack)> {
        let unpack = |packed: &Value| Some(Value::Object(Arc::new(Address(packed.as_str()?.parse().ok()?))));
        Some((Value::from(self.0.to_string()), unpack))
    }

    fn compare(&self, other: &Value) -> Option<std::cmp::Ordering> {
        match other {
            Value::Object(other) => Some(self.0.cmp(&other.as_any().downcast_ref::<Address>()?.0)),
            Value::Str(text) => Some(self.0.cmp(&text.trim().parse::<IpAddr>().ok()?.to_canonical())),
            _ => None,
        }
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&IP, ip));
}
