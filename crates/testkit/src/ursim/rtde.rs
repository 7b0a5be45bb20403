//! The RTDE server, protocol version 2: many readers, one writer per field.
//!
//! Each connection has a thread that reads requests and one that writes; the
//! controller's loop hands packages to the writer over a bounded queue. A client
//! that does not drain its socket fills the queue and is dropped, as a real
//! controller does.

use super::{
    Series, Shared,
    controller::Controller,
    variables::{self, Input, Output},
};
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    sync::mpsc::{Receiver, SyncSender, TrySendError},
};

/// Packages waiting for a client: one second at 500 Hz.
const QUEUE: usize = 500;
const MAX_RECIPE_BYTES: usize = 2048;
const MAX_INPUT_RECIPES: usize = 255;
/// Message level of an error.
const ERROR: u8 = 1;

/// One connection.
pub(super) struct Client {
    pub(super) id: u64,
    socket: TcpStream,
    queue: SyncSender<Vec<u8>>,
    outputs: Option<(Vec<Output>, f64)>,
    inputs: Vec<Vec<Input>>,
    started: bool,
}

impl Client {
    /// Queues this step's sample, if one is due; whether the client keeps up.
    pub(super) fn sample(&self, controller: &Controller, series: Series) -> bool {
        let (true, Some((outputs, frequency))) = (self.started, &self.outputs) else {
            return true;
        };
        let count = |step: u64| (step as f64 * frequency / series.frequency()).floor();
        if count(controller.steps) <= count(controller.steps.saturating_sub(1)) {
            return true;
        }
        let mut payload = vec![1];
        outputs.iter().for_each(|output| output.write(controller, &mut payload));
        self.send(b'U', &payload)
    }

    fn send(&self, kind: u8, payload: &[u8]) -> bool {
        let full =
            matches!(self.queue.try_send(package(kind, payload)), Err(TrySendError::Full(_)));
        if full {
            // Dropping the client must not wait for its full socket.
            let _ = self.socket.shutdown(Shutdown::Both);
        }
        !full
    }
}

fn package(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 3);
    bytes.extend((payload.len() as u16 + 3).to_be_bytes());
    bytes.push(kind);
    bytes.extend(payload);
    bytes
}

/// Serves one connection until it ends.
pub(super) fn serve(shared: &Shared, id: u64, mut socket: TcpStream) {
    let (queue, packages) = std::sync::mpsc::sync_channel(QUEUE);
    let (Ok(kept), Ok(writer)) = (socket.try_clone(), socket.try_clone()) else {
        return;
    };
    let client =
        Client { id, socket: kept, queue, outputs: None, inputs: Vec::new(), started: false };
    shared.lock(&shared.clients).push(client);
    std::thread::spawn(move || write(writer, &packages));
    while let Some((kind, payload)) = read(&mut socket) {
        let Some((kind, reply)) = handle(shared, id, kind, &payload) else {
            continue;
        };
        let clients = shared.lock(&shared.clients);
        if !clients.iter().any(|client| client.id == id && client.send(kind, &reply)) {
            break;
        }
    }
    shared.lock(&shared.clients).retain(|client| client.id != id);
}

fn write(mut socket: TcpStream, packages: &Receiver<Vec<u8>>) {
    while let Ok(package) = packages.recv() {
        if socket.write_all(&package).is_err() {
            break;
        }
    }
    let _ = socket.shutdown(Shutdown::Both);
}

fn read(socket: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut header = [0; 3];
    socket.read_exact(&mut header).ok()?;
    let [high, low, kind] = header;
    let length = usize::from(u16::from_be_bytes([high, low])).checked_sub(3)?;
    let mut payload = vec![0; length];
    socket.read_exact(&mut payload).ok()?;
    Some((kind, payload))
}

fn handle(shared: &Shared, id: u64, kind: u8, payload: &[u8]) -> Option<(u8, Vec<u8>)> {
    match kind {
        b'V' => Some((b'V', vec![u8::from(payload == [0, 2])])),
        b'v' => {
            let version = shared.config.series.version();
            Some((b'v', version.iter().flat_map(|part| part.to_be_bytes()).collect()))
        }
        b'O' => Some(set_outputs(shared, id, payload)),
        b'I' => Some(set_inputs(shared, id, payload)),
        b'S' | b'P' => {
            let mut clients = shared.lock(&shared.clients);
            let client = clients.iter_mut().find(|client| client.id == id)?;
            let able = client.outputs.is_some() || !client.inputs.is_empty();
            client.started = kind == b'S' && able;
            Some((kind, vec![u8::from(kind == b'P' || able)]))
        }
        b'U' => write_inputs(shared, id, payload),
        b'M' => None,
        other => Some((b'M', text(&format!("unknown package type {other}")))),
    }
}

fn names(list: &[u8]) -> Option<Vec<String>> {
    let list = String::from_utf8(list.to_vec()).ok()?;
    // Some clients end their list with a comma.
    let list = list.trim_end_matches(',');
    (list.len() <= MAX_RECIPE_BYTES).then(|| list.split(',').map(str::to_owned).collect())
}

fn set_outputs(shared: &Shared, id: u64, payload: &[u8]) -> (u8, Vec<u8>) {
    let request = payload.split_first_chunk::<8>().and_then(|(frequency, list)| {
        let frequency = f64::from_be_bytes(*frequency);
        let range = 1.0..=shared.config.series.frequency();
        range.contains(&frequency).then_some((frequency, names(list)?))
    });
    let Some((frequency, names)) = request else {
        return (b'M', text("output recipe: a bad frequency or list"));
    };
    let found: Vec<_> = names.iter().map(|name| variables::output(name)).collect();
    let kinds: Vec<_> = found.iter().map(|o| o.as_ref().map_or("NOT_FOUND", |o| o.kind)).collect();
    let reply = |id: u8| [&[id][..], kinds.join(",").as_bytes()].concat();
    let outputs: Option<Vec<Output>> = found.into_iter().collect();
    let refused = outputs.is_none();
    let mut clients = shared.lock(&shared.clients);
    if let Some(client) = clients.iter_mut().find(|client| client.id == id) {
        client.outputs = outputs.map(|outputs| (outputs, frequency));
    }
    (b'O', reply(u8::from(!refused)))
}

fn set_inputs(shared: &Shared, id: u64, payload: &[u8]) -> (u8, Vec<u8>) {
    let Some(names) = names(payload) else {
        return (b'M', text("input recipe: too long"));
    };
    let mut clients = shared.lock(&shared.clients);
    let taken: Vec<Input> = clients
        .iter()
        .filter(|client| client.id != id)
        .flat_map(|client| client.inputs.iter().flatten().copied())
        .collect();
    let found: Vec<_> = names.iter().map(|name| Input::named(name)).collect();
    let kinds: Vec<_> = found
        .iter()
        .map(|input| match input {
            None => "NOT_FOUND",
            Some(input) if taken.contains(input) => "IN_USE",
            Some(input) => input.kind(),
        })
        .collect();
    let free = !kinds.iter().any(|kind| matches!(*kind, "NOT_FOUND" | "IN_USE"));
    let mut recipe = 0;
    if let Some(client) = clients.iter_mut().find(|client| client.id == id)
        && free
        && client.inputs.len() < MAX_INPUT_RECIPES
    {
        client.inputs.push(found.into_iter().flatten().collect());
        recipe = client.inputs.len() as u8;
    }
    (b'I', [&[recipe][..], kinds.join(",").as_bytes()].concat())
}

fn write_inputs(shared: &Shared, id: u64, payload: &[u8]) -> Option<(u8, Vec<u8>)> {
    let (recipe, values) = payload.split_first()?;
    let clients = shared.lock(&shared.clients);
    let client = clients.iter().find(|client| client.id == id)?;
    let index = usize::from(*recipe).checked_sub(1);
    let inputs = index.and_then(|index| client.inputs.get(index)).cloned();
    drop(clients);
    let written = inputs
        .and_then(|inputs| variables::apply(&mut shared.lock(&shared.controller), &inputs, values));
    match written {
        Some(()) => None,
        None => Some((b'M', text("data for no recipe, or of a wrong size"))),
    }
}

fn text(message: &str) -> Vec<u8> {
    let (message, source) = (message.as_bytes(), b"RTDE");
    let mut payload = vec![message.len() as u8];
    payload.extend(message);
    payload.push(source.len() as u8);
    payload.extend(source);
    payload.push(ERROR);
    payload
}
