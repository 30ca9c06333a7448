//! Signals, as commands to a running gate.

use crate::control::Command;
use tokio::sync::mpsc;

/// Turns the signals of this process into commands, on a thread of its own. A second SIGINT or SIGTERM ends the process at once.
#[must_use]
pub fn commands_from_signals() -> mpsc::Receiver<Command> {
    let (commands, receiver) = mpsc::channel(8);
    let watch = move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
            return tracing::error!("signals cannot be watched");
        };
        if let Err(error) = runtime.block_on(forward(commands)) {
            tracing::error!(%error, "signals cannot be watched");
        }
    };
    if let Err(error) = std::thread::Builder::new().name("signals".to_owned()).spawn(watch) {
        tracing::error!(%error, "signals cannot be watched");
    }
    receiver
}

#[cfg(unix)]
async fn forward(commands: mpsc::Sender<Command>) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut user1 = signal(SignalKind::user_defined1())?;
    let mut draining = false;
    loop {
        let command = tokio::select! {
            _ = terminate.recv() => Command::Drain,
            _ = interrupt.recv() => Command::Drain,
            _ = hangup.recv() => Command::Reload,
            _ = user1.recv() => Command::ReopenLogs,
        };
        if command == Command::Drain && std::mem::replace(&mut draining, true) {
            std::process::exit(1);
        }
        if commands.send(command).await.is_err() && !draining {
            return Ok(());
        }
    }
}

#[cfg(not(unix))]
async fn forward(commands: mpsc::Sender<Command>) -> std::io::Result<()> {
    tokio::signal::ctrl_c().await?;
    // The receiver is gone only when the gate has ended already.
    let _ = commands.send(Command::Drain).await;
    tokio::signal::ctrl_c().await?;
    std::process::exit(1)
}
