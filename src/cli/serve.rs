//! `convscope serve`: answers over HTTP until it is asked to stop.

use std::net::TcpListener;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use super::Globals;
use crate::console;
use crate::http::{self, Setup, Shutdown};
use crate::kernels::heap;

/// Exit code of a server that was told twice to stop: 128 and SIGINT's number, as shells have it.
const INTERRUPTED: i32 = 130;

/// What a thread that panicked waits for its line to be written.
const PANIC: Duration = Duration::from_millis(100);

/// Arguments of `serve`.
#[derive(Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Args {
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
}

/// Serves. SIGINT and SIGTERM let what is under way end; a second one does not wait. After SIGTERM, which systems send that run
/// servers, it goes on for the configured grace, so that whoever balances requests hears of it first; SIGINT comes from somebody
/// at a terminal, who wants it to end. What `args` say is in the configuration.
pub fn run(_args: Args, globals: &Globals) -> anyhow::Result<()> {
    heap::give_back();
    let config = globals.config.clone();
    let listen = config.server.listen;
    let listener = TcpListener::bind(listen).with_context(|| {
        format!("cannot listen on {listen}: another program may use this port, try `--listen` with another one")
    })?;
    // The hook that is there writes to standard error itself, and waits for whoever reads that.
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(%panic, "a thread panicked");
        // A panic while one is handled ends the program here.
        console::flush_within(PANIC);
    }));
    let program = std::env::current_exe().context("cannot find this program's own file, which training runs are started from")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the server's threads")?;
    runtime.block_on(async {
        let stop = stop_signal()?;
        Ok(http::run(listener, Setup { config, program }, stop).await?)
    })
}

/// Ends at the first signal to stop; from then on a second one ends the process.
fn stop_signal() -> anyhow::Result<impl Future<Output = Shutdown>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut either = async move || {
        tokio::select! {
            _ = interrupt.recv() => Shutdown::AtOnce,
            _ = terminate.recv() => Shutdown::AfterGrace,
        }
    };
    Ok(async move {
        let first = either().await;
        tokio::spawn(async move {
            either().await;
            console::flush();
            std::process::exit(INTERRUPTED);
        });
        first
    })
}
