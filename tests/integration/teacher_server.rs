//! A scripted endpoint: HTTP on a loopback socket, a thread for each connection, every answer decided by a function of the request.
//!
//! Used by the tests of the teacher. It counts what it was asked and what it delivered whole, which is what would be charged for.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// What the endpoint does with a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// A status with headers and a body.
    Say(u16, Vec<(&'static str, String)>, String),
    /// The beginning of a good answer, then nothing more: the connection ends.
    Cut(String),
    /// No byte until the other side gives up.
    Silence,
    /// The connection ends at once.
    HangUp,
    /// The answer in pieces of server-sent events.
    Stream(Vec<String>),
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// How often this very body was asked before.
    pub before: usize,
    /// How many requests this connection brought before.
    pub on_connection: usize,
}

impl Asked {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What the user says, in either dialect.
    pub fn text(&self) -> String {
        let value = self.json();
        let messages = value["messages"].as_array().and_then(|all| all.last()).map(|last| last["content"].clone());
        let text = messages.unwrap_or_else(|| value["contents"][0]["parts"][0]["text"].clone());
        text.as_str().unwrap_or_default().to_string()
    }

    /// A number that follows from the request alone.
    pub fn draw(&self, salt: &str) -> u64 {
        let hash = blake3::hash(format!("{salt}\u{1f}{}", self.body).as_bytes());
        u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap())
    }
}

#[derive(Default)]
struct Seen {
    asked: Vec<Asked>,
    counts: HashMap<String, usize>,
    /// Good answers that were written whole, by body.
    delivered: HashMap<String, usize>,
}

/// An endpoint that lives as long as the test.
pub struct Server {
    pub base: String,
    seen: Arc<Mutex<Seen>>,
}

impl Server {
    pub fn start(script: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}/v1", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (script, shared) = (Arc::new(script), seen.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, seen) = (script.clone(), shared.clone());
                std::thread::spawn(move || {
                    // Whatever goes wrong with a connection ends the connection.
                    let _ = serve(stream, script.as_ref(), &seen);
                });
            }
        });
        Server { base, seen }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.seen.lock().unwrap().asked.clone()
    }

    /// Good answers that went out whole, and how many of them had gone out before.
    pub fn delivered(&self) -> (usize, usize) {
        let seen = self.seen.lock().unwrap();
        let all: usize = seen.delivered.values().sum();
        (all, all - seen.delivered.len())
    }
}

fn serve(stream: TcpStream, script: &(impl Fn(&Asked) -> Act + ?Sized), seen: &Mutex<Seen>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    let mut on_connection = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut parts = line.split_whitespace();
        let path = parts.nth(1).unwrap_or_default().to_string();
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_lowercase(), value.trim().to_string()));
        }
        let length =
            headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body)?;
        let body = String::from_utf8_lossy(&body).into_owned();
        let asked = {
            let mut seen = seen.lock().unwrap();
            let count = seen.counts.entry(body.clone()).or_default();
            let before = *count;
            *count += 1;
            let asked = Asked { path, headers, body, before, on_connection };
            seen.asked.push(asked.clone());
            asked
        };
        on_connection += 1;
        match script(&asked) {
            Act::Say(status, extra, text) => {
                let mut head = format!("HTTP/1.1 {status} It\r\ncontent-type: application/json\r\n");
                extra.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
                // Counted before it can be read: who was killed while reading it has been charged too.
                if status == 200 && serde_json::from_str::<Value>(&text).is_ok() {
                    *seen.lock().unwrap().delivered.entry(asked.body.clone()).or_default() += 1;
                }
                writer.write_all(format!("{head}content-length: {}\r\n\r\n{text}", text.len()).as_bytes())?;
            }
            Act::Cut(text) => {
                let length = text.len() + 100;
                let head = format!("HTTP/1.1 200 It\r\ncontent-length: {length}\r\n\r\n");
                writer.write_all(format!("{head}{text}").as_bytes())?;
                return Ok(());
            }
            Act::Stream(pieces) => {
                writer.write_all(b"HTTP/1.1 200 It\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")?;
                for piece in pieces {
                    writer.write_all(format!("data: {piece}\n\n").as_bytes())?;
                }
                return Ok(());
            }
            Act::Silence => {
                let mut rest = [0; 64];
                while reader.read(&mut rest)? > 0 {}
                return Ok(());
            }
            Act::HangUp => return Ok(()),
        }
    }
}

/// A good answer as chat completions.
pub fn chat(text: &str, finish: &str, model: &str) -> String {
    let usage = json!({ "prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42 });
    let choice = json!({ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": finish });
    json!({ "id": "x", "object": "chat.completion", "model": model, "choices": [choice], "usage": usage }).to_string()
}

pub fn say(status: u16, body: impl Into<String>) -> Act {
    Act::Say(status, Vec::new(), body.into())
}

/// What a teacher that always means the same says to this request.
pub fn lesson(asked: &Asked) -> String {
    let text = asked.text();
    if text.contains("Verdict: tie") {
        return format!("Both were read.\nVerdict: {}", ["A", "B", "tie"][asked.draw("verdict") as usize % 3]);
    }
    if text.contains("Score: n") {
        return format!("It was read with care.\nScore: {}", asked.draw("score") % 6);
    }
    const WORDS: [&str; 8] = ["north", "river", "seven", "apple", "quiet", "stone", "under", "lamp"];
    let words: Vec<&str> = (0..9).map(|at| WORDS[asked.draw(&at.to_string()) as usize % WORDS.len()]).collect();
    words.join(" ")
}

/// A teacher that always means the same, whose filter withholds one answer in forty.
pub fn steady(asked: &Asked) -> Act {
    match asked.draw("filter") % 40 {
        0 => say(200, chat("", "content_filter", "teacher-1")),
        _ => say(200, chat(&lesson(asked), "stop", "teacher-1")),
    }
}

/// The same teacher behind a bad line: of five calls one fails, in every way there is, and never one call for ever.
pub fn faulty(asked: &Asked) -> Act {
    let good = chat(&lesson(asked), "stop", "teacher-1");
    let fails = asked.before < 4 && asked.draw(&format!("fault {}", asked.before)).is_multiple_of(5);
    if !fails {
        return steady(asked);
    }
    match asked.draw(&format!("kind {}", asked.before)) % 7 {
        0 => Act::Silence,
        1 => Act::Say(429, vec![("retry-after", "0.01".into())], r#"{"error":{"message":"slow down"}}"#.into()),
        2 => Act::Cut(good[..good.len() / 2].into()),
        3 => say(200, &good[..good.len() - 3]),
        4 => say(503, "upstream is gone"),
        5 => Act::HangUp,
        _ => say(500, r#"{"error":{"message":"inside","type":"server_error"}}"#),
    }
}
