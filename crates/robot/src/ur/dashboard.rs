//! The Dashboard server (port 29999): a closed set of commands.
//!
//! Dashboard lines are executed by the controller without authentication, and
//! PolyScope before 5.25.1 passes parts of some of them to a shell
//! (CVE-2026-8153). So a line is only ever made from a [`Command`], whose one
//! argument is a [`ProgramFile`]; there is no way to send text. None of the
//! commands powers the arm, releases a brake or unlocks a stop.
//!
//! Each use opens its own connection and closes it: the server takes several, a
//! stop never waits behind another question, and a dead connection cannot be met.

use super::UrConfig;
use crate::launch::ProgramFile;
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// The longest line a controller's answer may have, in bytes.
const MAX_LINE: usize = 1024;

/// All that is ever asked of a Dashboard server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Load a pinned program.
    Load(&'a ProgramFile),
    /// Start the loaded program.
    Play,
    /// Stop the running program.
    Stop,
    /// The arm's power state.
    RobotMode,
    /// The safety system's state.
    SafetyStatus,
    /// The program interpreter's state, and the program's name.
    ProgramState,
    /// Whether a program runs.
    Running,
    /// Whether the controller is in remote control (e-Series only).
    InRemoteControl,
    /// Which program is loaded.
    LoadedProgram,
    /// The software version.
    PolyscopeVersion,
}

impl fmt::Display for Command<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(file) => write!(f, "load {file}"),
            Self::Play => f.write_str("play"),
            Self::Stop => f.write_str("stop"),
            Self::RobotMode => f.write_str("robotmode"),
            Self::SafetyStatus => f.write_str("safetystatus"),
            Self::ProgramState => f.write_str("programState"),
            Self::Running => f.write_str("running"),
            Self::InRemoteControl => f.write_str("is in remote control"),
            Self::LoadedProgram => f.write_str("get loaded program"),
            Self::PolyscopeVersion => f.write_str("PolyscopeVersion"),
        }
    }
}

/// Why a Dashboard server did not answer.
#[derive(Debug, thiserror::Error)]
pub enum DashboardError {
    /// The connection failed.
    #[error("the dashboard at {0} failed: {1}")]
    Io(SocketAddr, std::io::Error),
    /// No answer in time.
    #[error("the dashboard at {0} did not answer within {1:?}")]
    Timeout(SocketAddr, Duration),
    /// What answers is no Dashboard server.
    #[error("the dashboard at {0} answered with {1}")]
    Protocol(SocketAddr, String),
}

/// A connection to a Dashboard server.
#[derive(Debug)]
pub struct Dashboard {
    peer: SocketAddr,
    patience: Duration,
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Dashboard {
    /// Connects, from the address `from` when there is one, and reads the greeting.
    /// `patience` bounds this and each answer.
    ///
    /// # Errors
    /// The server cannot be reached, or greets as something else.
    pub async fn open(
        peer: SocketAddr,
        from: Option<IpAddr>,
        patience: Duration,
    ) -> Result<Self, DashboardError> {
        let connected = timeout(patience, super::dial(peer, from)).await;
        let stream = connected
            .map_err(|_| DashboardError::Timeout(peer, patience))?
            .map_err(|e| DashboardError::Io(peer, e))?;
        let mut dashboard = Self { peer, patience, stream, buffer: Vec::new() };
        let greeting = dashboard.line().await?;
        if !greeting.contains("Universal Robots Dashboard Server") {
            let found = format!("`{greeting}` instead of a Dashboard server's greeting");
            return Err(DashboardError::Protocol(peer, found));
        }
        Ok(dashboard)
    }

    /// Sends a command and returns the answer's one line.
    ///
    /// # Errors
    /// The connection failed, the answer took too long, or is not one line.
    pub async fn ask(&mut self, command: Command<'_>) -> Result<String, DashboardError> {
        let line = format!("{command}\n");
        self.stream
            .write_all(line.as_bytes())
            .await
            .map_err(|e| DashboardError::Io(self.peer, e))?;
        self.line().await
    }

    async fn line(&mut self) -> Result<String, DashboardError> {
        let (peer, patience) = (self.peer, self.patience);
        timeout(patience, self.read_line())
            .await
            .map_err(|_| DashboardError::Timeout(peer, patience))?
    }

    async fn read_line(&mut self) -> Result<String, DashboardError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim().to_owned());
            }
            if self.buffer.len() > MAX_LINE {
                let found = format!("a line of more than {MAX_LINE} bytes");
                return Err(DashboardError::Protocol(self.peer, found));
            }
            let mut chunk = [0; 256];
            let read = self.stream.read(&mut chunk).await;
            match read.map_err(|e| DashboardError::Io(self.peer, e))? {
                0 => {
                    let found = "the end of the connection".to_owned();
                    return Err(DashboardError::Protocol(self.peer, found));
                }
                count => self.buffer.extend(chunk.iter().take(count)),
            }
        }
    }
}

/// Stops whatever program runs. A controller with no program to stop answers that
/// it failed, so the program state decides.
///
/// # Errors
/// The server did not answer, or says that a program still runs.
pub async fn stop(config: &UrConfig, patience: Duration) -> Result<(), DashboardError> {
    let peer = config.dashboard;
    let mut dashboard = Dashboard::open(peer, config.from, patience).await?;
    let answer = dashboard.ask(Command::Stop).await?;
    if answer == "Stopped" {
        return Ok(());
    }
    let state = dashboard.ask(Command::ProgramState).await?;
    if state.starts_with("STOPPED") {
        return Ok(());
    }
    Err(DashboardError::Protocol(peer, format!("`{answer}` to a stop, its state is `{state}`")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use base::sha256;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_command_is_one_line_of_plain_words(id in "[a-z0-9][a-z0-9._-]{0,63}") {
            let file = ProgramFile::new(&id.parse().unwrap(), &sha256(id.as_bytes()));
            let line = Command::Load(&file).to_string();
            let plain = |c: char| c.is_ascii_alphanumeric() || " .-_".contains(c);
            prop_assert!(line.chars().all(plain), "{line}");
            prop_assert_eq!(line.matches(' ').count(), 1);
        }
    }
}
