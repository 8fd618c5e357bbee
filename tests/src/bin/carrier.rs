//! The stand-in for the carriers as a program, for scenarios, the demonstration and measuring.
//!
//! `carrier [SETTINGS.json]` prints one line of JSON with the addresses of the vendors' APIs and of the
//! control when it listens, and serves until it is ended. Keys are in the file, never in arguments.

use std::{
    error::Error,
    fs,
    io::{self, Write},
};

use otpd_tests::carrier::{Carrier, Vendor, settings::Settings};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let settings = match (arguments.next(), arguments.next()) {
        (None, _) => Settings::default(),
        (Some(file), None) => serde_json::from_slice(&fs::read(file)?)?,
        (Some(_), Some(_)) => return Err("usage: carrier [SETTINGS.json]".into()),
    };
    let carrier = Carrier::start(settings);
    let mut line = serde_json::Map::new();
    for vendor in Vendor::ALL {
        line.insert(vendor.name().to_owned(), carrier.url(vendor).into());
    }
    line.insert("control".to_owned(), carrier.control().into());
    line.insert("public-key".to_owned(), carrier.public_key().into());
    let mut output = io::stdout();
    let line = format!("{}\n", serde_json::Value::from(line));
    // In one write, so that whoever reads it has either nothing or all of it.
    output.write_all(line.as_bytes())?;
    output.flush()?;
    loop {
        std::thread::park();
    }
}
