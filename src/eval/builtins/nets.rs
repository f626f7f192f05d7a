//! IP networks in CIDR notation.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Arguments, Problem};
use crate::model::Value;

type Run = Result<Value, Problem>;

/// A network: its first address as a number, the bits of an address, the length of the prefix.
#[derive(Clone, Copy)]
pub(in crate::eval) struct Network {
    first: u128,
    bits: u32,
    prefix: u32,
}

impl Network {
    /// `10.0.0.0/8`, `fd00::/64`. Bits after the prefix are cleared.
    pub fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = text.split_once('/')?;
        let (number, bits) = match address.parse::<IpAddr>().ok()? {
            IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
            IpAddr::V6(address) => (u128::from(address), 128),
        };
        if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let prefix: u32 = prefix.parse().ok().filter(|prefix| *prefix <= bits)?;
        Some(Network { first: number & mask(bits, prefix), bits, prefix })
    }

    fn address(self, number: u128) -> String {
        match self.bits {
            32 => Ipv4Addr::from(number as u32).to_string(),
            _ => Ipv6Addr::from(number).to_string(),
        }
    }

    /// How many addresses there are, less one.
    fn last(self) -> u128 {
        !mask(self.bits, self.prefix) & mask(self.bits, self.bits)
    }
}

/// The mask of a prefix within an address of so many bits.
fn mask(bits: u32, prefix: u32) -> u128 {
    let all = if bits == 128 { u128::MAX } else { (1 << bits) - 1 };
    all & !(all.checked_shr(prefix).unwrap_or(0))
}

pub fn cidr_host(a: &Arguments<'_>) -> Run {
    let (network, number) = (network(a)?, a.int(1)?);
    let offset = match number < 0 {
        true => network.last().checked_sub(u128::from(number.unsigned_abs()) - 1),
        false => Some(number as u128).filter(|number| *number <= network.last()),
    };
    let offset = offset.ok_or_else(|| Problem::argument(format!("the network has no host {number}")))?;
    Ok(Value::text(network.address(network.first | offset)))
}

pub fn cidr_subnet(a: &Arguments<'_>) -> Run {
    let (network, more, number) = (network(a)?, a.int(1)?, a.int(2)?);
    let prefix = u32::try_from(more).ok().and_then(|more| network.prefix.checked_add(more));
    let prefix = prefix.filter(|prefix| *prefix <= network.bits);
    let prefix = prefix.ok_or_else(|| Problem::argument(format!("the network has no room for {more} more bits")))?;
    let places = 1u128.checked_shl(prefix - network.prefix).unwrap_or(u128::MAX);
    let number = u128::try_from(number).ok().filter(|number| *number < places);
    let number = number.ok_or_else(|| Problem::argument(format!("{more} more bits give {places} networks, from 0 on")))?;
    let first = network.first | number.checked_shl(network.bits - prefix).unwrap_or(0);
    Ok(Value::text(format!("{}/{prefix}", network.address(first))))
}

/// One after the other, each as large as its number of bits says, aligned to its own size.
pub fn cidr_subnets(a: &Arguments<'_>) -> Run {
    let network = network(a)?;
    let (mut next, mut all) = (Some(0u128), Vec::new());
    let full = || Problem::argument("the network has no room for all of them");
    for at in 1..a.values.len() {
        let more = a.int(at)?;
        let prefix = u32::try_from(more).ok().and_then(|more| network.prefix.checked_add(more));
        let prefix = prefix.filter(|prefix| *prefix <= network.bits);
        let prefix = prefix.ok_or_else(|| Problem::argument(format!("the network has no room for {more} more bits")))?;
        // How many addresses the part has, less one: 2^128 does not fit.
        let last = !mask(network.bits, prefix) & mask(network.bits, network.bits);
        let start = next.and_then(|next| next.checked_add(last)).map(|it| it & !last).ok_or_else(full)?;
        let end = start.checked_add(last).filter(|end| *end <= network.last()).ok_or_else(full)?;
        next = end.checked_add(1);
        all.push(Value::text(format!("{}/{prefix}", network.address(network.first | start))));
    }
    Ok(Value::list(all))
}

pub fn cidr_contains(a: &Arguments<'_>) -> Run {
    let (network, text) = (network(a)?, a.text(1)?);
    let inner = Network::parse(text).or_else(|| Network::parse(&format!("{text}/{}", if text.contains(':') { 128 } else { 32 })));
    let inner = inner.ok_or_else(|| Problem::argument("argument 2 is neither an address nor a network"))?;
    let inside = inner.bits == network.bits
        && inner.prefix >= network.prefix
        && inner.first & mask(network.bits, network.prefix) == network.first;
    Ok(Value::bool(inside))
}

pub fn cidr_netmask(a: &Arguments<'_>) -> Run {
    let network = network(a)?;
    match network.bits {
        32 => Ok(Value::text(network.address(mask(32, network.prefix)))),
        _ => Err(Problem::argument("only IPv4 networks have a mask")),
    }
}

fn network(a: &Arguments<'_>) -> Result<Network, Problem> {
    Network::parse(a.text(0)?).ok_or_else(|| Problem::argument("the text is not a network such as 10.0.0.0/16"))
}
