//! `convscope health`: the health check of a container that has no curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};

use super::{Globals, print};

/// What a server is given to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Arguments of `health`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the server is [default: the configured address, on this machine]
    #[arg(value_name = "URL")]
    url: Option<String>,
}

/// Asks `GET /health/ready`; anything but 200 is an error.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let base = args.url.clone().unwrap_or_else(|| format!("http://{}", reachable(globals.config.server.listen)));
    let url = format!("{}/health/ready", base.trim_end_matches('/'));
    // A proxy of the environment's is for the world outside, not for this.
    let config = ureq::Agent::config_builder().proxy(None).timeout_global(Some(TIMEOUT)).http_status_as_error(false).build();
    let mut response = ureq::Agent::new_with_config(config).get(&url).call().with_context(|| format!("no answer from {url}"))?;
    let status = response.status();
    if status.as_u16() != 200 {
        let body = response.body_mut().with_config().limit(10_000).read_to_string().unwrap_or_default();
        bail!("{url} answers {status}: {}", body.trim());
    }
    Ok(print("ready\n")?)
}

/// A server that listens on every address is reached on this machine's own.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_means_this_machine() {
        for (listen, expected) in [("0.0.0.0:8080", "127.0.0.1:8080"), ("[::]:80", "[::1]:80"), ("10.0.0.1:80", "10.0.0.1:80")] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), expected);
        }
    }
}
