//! `cidr_contains()`.

use std::net::IpAddr;

use super::prelude::*;

static CIDR_CONTAINS: Signature = Signature::new(
    "cidr_contains",
    "Whether an address lies in one of the ranges.",
    &[req("ip", Text, "The address"), req("ranges", Text, "Ranges such as `10.0.0.0/8`").repeated()],
)
.group(Group::Network)
.examples(&["SELECT cidr_contains(ip='10.1.2.3', ranges='10.0.0.0/8') AS Inside FROM scope()"]);

fn cidr_contains(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let text = args.str("ip")?;
    let address: IpAddr = text.trim().parse().map_err(|_| CallError::new(format!("`{text}` is no address")))?;
    let mut inside = false;
    for range in args.strings("ranges")? {
        match within(address.to_canonical(), range.trim()) {
            Some(found) => inside |= found,
            // The other ranges still hold.
            None => cx.error(format!("cidr_contains: `{range}` is no range such as 10.0.0.0/8")),
        }
    }
    Ok(Value::Bool(inside))
}

fn within(address: IpAddr, range: &str) -> Option<bool> {
    let (base, length) = range.split_once('/')?;
    let (base, length): (IpAddr, u32) = (base.parse().ok()?, length.parse().ok()?);
    let width = if base.is_ipv4() { 32 } else { 128 };
    if length > width {
        return None;
    }
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    };
    let shift = width - length;
    let prefix = |ip: IpAddr| bits(ip).checked_shr(shift).unwrap_or(0);
    Some(base.is_ipv4() == address.is_ipv4() && prefix(base) == prefix(address))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&CIDR_CONTAINS, cidr_contains));
}
