//! The Dashboard server's replies, as PolyScope 5 and 3 give them.

use super::{
    Series,
    controller::{Controller, mode, runtime, safety},
    program::{MAX_PROGRAM_BYTES, Program},
};
use std::{fs::File, io::Read, path::Path};

/// What the server says first.
pub const GREETING: &str = "Connected: Universal Robots Dashboard Server";

/// The answer to one line. Programs are read from `folder`.
pub fn reply(controller: &mut Controller, series: Series, folder: &Path, line: &str) -> String {
    let (word, argument) = line.split_once(' ').unwrap_or((line, ""));
    if commands_motion(line) && series == Series::ESeries && !controller.remote {
        return "Command is not allowed due to safety reasons".to_owned();
    }
    match (word, argument) {
        ("load", name) if !name.is_empty() && !name.starts_with("installation") => {
            load(controller, folder, name)
        }
        ("popup", _) => "showing popup".to_owned(),
        ("addToLog", _) => "Added log message".to_owned(),
        _ => act(controller, line)
            .or_else(|| ask(controller, series, line))
            .unwrap_or_else(|| format!("could not understand: \"{line}\"")),
    }
}

fn commands_motion(line: &str) -> bool {
    let word = line.split(' ').next().unwrap_or_default();
    matches!(word, "load" | "play" | "pause") || matches!(line, "power on" | "brake release")
}

fn load(controller: &mut Controller, folder: &Path, name: &str) -> String {
    let file = name.strip_prefix("/programs/").unwrap_or(name);
    let plain = !file.contains(['/', '\\']) && file != "..";
    let mut bytes = Vec::new();
    let read = File::open(folder.join(file))
        .and_then(|f| f.take(MAX_PROGRAM_BYTES as u64 + 1).read_to_end(&mut bytes));
    if !plain || read.is_err() {
        return format!("File not found: {name}");
    }
    match Program::parse(&bytes) {
        Ok(program) if controller.runtime == runtime::STOPPED => {
            controller.loaded = Some((file.to_owned(), program));
            format!("Loading program: {name}")
        }
        _ => format!("Error while loading program: {name}"),
    }
}

fn act(controller: &mut Controller, line: &str) -> Option<String> {
    let done = |good: bool, words: &str| {
        if good { words.to_owned() } else { format!("Failed to execute: {line}") }
    };
    Some(match line {
        "play" => done(controller.play(), "Starting program"),
        "stop" => done(controller.stop(), "Stopped"),
        "pause" => done(controller.pause(), "Pausing program"),
        "quit" => "Disconnected".to_owned(),
        "close popup" => {
            controller.popup = None;
            "closing popup".to_owned()
        }
        "close safety popup" => "closing safety popup".to_owned(),
        "power on" => {
            controller.mode = controller.mode.max(mode::IDLE);
            "Powering on".to_owned()
        }
        "power off" => {
            controller.stop();
            controller.mode = mode::POWER_OFF;
            "Powering off".to_owned()
        }
        "brake release" => {
            if controller.safety == safety::NORMAL {
                controller.mode = mode::RUNNING;
            }
            "Brake releasing".to_owned()
        }
        "unlock protective stop" => {
            if controller.safety == safety::PROTECTIVE_STOP {
                controller.safety = safety::NORMAL;
            }
            "Protective stop releasing".to_owned()
        }
        _ => return None,
    })
}

fn ask(controller: &Controller, series: Series, line: &str) -> Option<String> {
    let program = controller.loaded.as_ref().map(|(name, _)| name.as_str());
    Some(match line {
        "running" => format!("Program running: {}", controller.runtime == runtime::PLAYING),
        "robotmode" => format!("Robotmode: {}", mode_name(controller.mode)),
        "safetystatus" => format!("Safetystatus: {}", safety_name(controller.safety)),
        "safetymode" => format!("Safetymode: {}", safety_name(controller.safety)),
        "get loaded program" => match program {
            Some(name) => format!("Loaded program: /programs/{name}"),
            None => "No program loaded".to_owned(),
        },
        "isProgramSaved" => format!("true {}", program.unwrap_or("<unnamed>")),
        "programState" => {
            format!("{} {}", state_name(controller.runtime), program.unwrap_or("<unnamed>"))
        }
        "PolyscopeVersion" => match series {
            Series::ESeries => "URSoftware 5.12.6.1102099 (Sep 21 2023)".to_owned(),
            Series::Cb3 => "URSoftware 3.15.8.106339 (Jun 09 2022)".to_owned(),
        },
        "get robot model" => "UR3".to_owned(),
        "get serial number" => "20235300001".to_owned(),
        "is in remote control" if series == Series::ESeries => controller.remote.to_string(),
        _ => return None,
    })
}

fn mode_name(mode: i32) -> &'static str {
    match mode {
        mode::POWER_OFF => "POWER_OFF",
        mode::IDLE => "IDLE",
        mode::RUNNING => "RUNNING",
        _ => "NO_CONTROLLER",
    }
}

fn safety_name(status: i32) -> &'static str {
    match status {
        safety::NORMAL => "NORMAL",
        safety::PROTECTIVE_STOP => "PROTECTIVE_STOP",
        _ => "ROBOT_EMERGENCY_STOP",
    }
}

fn state_name(state: u32) -> &'static str {
    match state {
        runtime::PLAYING => "PLAYING",
        runtime::PAUSED => "PAUSED",
        _ => "STOPPED",
    }
}
