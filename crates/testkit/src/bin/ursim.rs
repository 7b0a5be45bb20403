//! A simulated Universal Robots controller as a process.

use clap::{Parser, ValueEnum};
use std::{io, net::IpAddr, path::PathBuf};
use testkit::ursim::{self, Config, Part, Program, SCAN};

/// Simulates a Universal Robots controller with a UR3e arm until it is stopped.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port of the Dashboard server; 0 takes a free one.
    #[arg(long, default_value_t = 29999)]
    dashboard: u16,
    /// Port of the RTDE server; 0 takes a free one.
    #[arg(long, default_value_t = 30004)]
    rtde: u16,
    /// Port of the control server; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    control: u16,
    /// Family of the controller.
    #[arg(long, value_enum, default_value_t = Series::E)]
    series: Series,
    /// Folder of the controller's programs.
    #[arg(long, default_value = "programs")]
    programs: PathBuf,
    /// Put the scan program that comes with the simulator into the folder.
    #[arg(long)]
    install_scan: bool,
    /// Seed of the force sensor's noise.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A part as a ball: x,y,z and radius in metres, in the base frame.
    #[arg(long, value_delimiter = ',', num_args = 4)]
    part: Option<Vec<f64>>,
    /// The only address that Dashboard and RTDE serve; all when absent.
    #[arg(long)]
    admit: Option<IpAddr>,
    /// Print one JSON line with the ports when ready, instead of words.
    #[arg(long)]
    json_ready: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Series {
    E,
    Cb3,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    if arguments.install_scan {
        Program::install(&arguments.programs, SCAN)?;
    }
    let part = match arguments.part.as_deref() {
        Some([x, y, z, radius]) => Some(Part { centre: [*x, *y, *z], radius: *radius }),
        _ => None,
    };
    let handle = ursim::start(Config {
        host: arguments.host,
        dashboard_port: arguments.dashboard,
        rtde_port: arguments.rtde,
        control_port: arguments.control,
        series: match arguments.series {
            Series::E => ursim::Series::ESeries,
            Series::Cb3 => ursim::Series::Cb3,
        },
        seed: arguments.seed,
        admit: arguments.admit,
        part,
        ..Config::new(arguments.programs)
    })?;
    let (dashboard, rtde, control) = (handle.dashboard(), handle.rtde(), handle.control());
    if arguments.json_ready {
        let ports = serde_json::json!({
            "dashboard": dashboard.port(), "rtde": rtde.port(), "control": control.port(),
        });
        println!("{ports}");
    } else {
        println!("dashboard {dashboard}, rtde {rtde}, control {control}");
    }
    loop {
        std::thread::park();
    }
}
