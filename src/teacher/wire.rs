//! HTTP as a teacher needs it: one JSON request, one bounded answer, three time-outs, and every way of failing under its own name.
//!
//! Redirects are not followed, so that a key goes nowhere but to the endpoint. What an endpoint says is scrubbed of the key here, before
//! anybody else sees it.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use ureq::http;
use ureq::tls::{RootCerts, TlsConfig};

use crate::engine::policy::Fault;
use crate::run::event::FaultKind;
use crate::teacher::secret::Secret;

/// No answer is longer.
const LONGEST_ANSWER: u64 = 16 << 20;
/// Of an error's words, so many are kept.
const WORDS: usize = 400;

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timeouts {
    pub connect: Duration,
    /// For the first byte of the answer.
    pub answer: Duration,
    /// For everything.
    pub whole: Duration,
}

/// How the key is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyHeader {
    Bearer,
    /// A header of this name.
    Named(&'static str),
}

/// A connection to one endpoint.
pub struct Wire {
    agent: ureq::Agent,
    base: String,
    key: Secret,
    header: KeyHeader,
}

/// An answer, whatever its status.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    pub status: u16,
    pub body: String,
    /// How long the endpoint asks to wait.
    pub wait_ms: Option<u64>,
    pub headers: Vec<(String, String)>,
    pub took_ms: u64,
}

impl Heard {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }
}

impl Wire {
    pub fn new(base: &str, key: Secret, header: KeyHeader, timeouts: Timeouts) -> Wire {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .tls_config(tls)
            .user_agent(concat!("selfreward/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(timeouts.connect))
            .timeout_recv_response(Some(timeouts.answer))
            .timeout_global(Some(timeouts.whole))
            .max_idle_connections_per_host(64);
        if is_loopback(base) {
            // No proxy leads to this machine.
            config = config.proxy(None);
        }
        Wire { agent: config.build().new_agent(), base: base.trim_end_matches('/').to_string(), key, header }
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    pub fn has_key(&self) -> bool {
        self.key.is_there()
    }

    /// The same endpoint, asked by nobody in particular.
    pub fn without_key(&self) -> Wire {
        Wire { agent: self.agent.clone(), base: self.base.clone(), key: Secret::default(), header: self.header }
    }

    pub fn scrub(&self, text: &str) -> String {
        self.key.scrub(text)
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<Heard, Fault> {
        self.exchange(path, Some(body.to_string().into_bytes()))
    }

    /// Sends these bytes as they are, to see what the endpoint makes of them.
    pub fn post_bytes(&self, path: &str, body: &[u8]) -> Result<Heard, Fault> {
        self.exchange(path, Some(body.to_vec()))
    }

    pub fn get(&self, path: &str) -> Result<Heard, Fault> {
        self.exchange(path, None)
    }

    fn exchange(&self, path: &str, body: Option<Vec<u8>>) -> Result<Heard, Fault> {
        let began = Instant::now();
        let method = if body.is_some() { http::Method::POST } else { http::Method::GET };
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("{}/{}", self.base, path.trim_start_matches('/')))
            .header("accept", "application/json");
        if self.key.is_there() {
            let (name, value) = match self.header {
                KeyHeader::Bearer => ("authorization", format!("Bearer {}", self.key.expose())),
                KeyHeader::Named(name) => (name, self.key.expose().to_string()),
            };
            let mut value = http::HeaderValue::try_from(value)
                .map_err(|_| fault(FaultKind::Unauthorized, "the key cannot be sent as a header".into(), false))?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        let sent = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json").body(body);
                request.map_err(ureq::Error::from).and_then(|request| self.agent.run(request))
            }
            None => request.body(()).map_err(ureq::Error::from).and_then(|request| self.agent.run(request)),
        };
        let response = sent.map_err(|error| self.fault_of(&error, false))?;
        let status = response.status().as_u16();
        let headers: Vec<(String, String)> = response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_string(), self.scrub(&String::from_utf8_lossy(value.as_bytes()))))
            .collect();
        let length =
            response.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let mut bytes = Vec::new();
        let mut reader = response.into_body().into_reader().take(LONGEST_ANSWER + 1);
        reader.read_to_end(&mut bytes).map_err(|error| self.fault_of(&ureq::Error::from(error), status == 200))?;
        if bytes.len() as u64 > LONGEST_ANSWER {
            return Err(fault(FaultKind::Malformed, format!("the answer is longer than {LONGEST_ANSWER} bytes"), true));
        }
        if length.is_some_and(|length| length > bytes.len() as u64) {
            return Err(fault(FaultKind::Cut, "the answer broke off".into(), status == 200));
        }
        let body = String::from_utf8(bytes)
            .map_err(|_| fault(FaultKind::Malformed, "the answer is not UTF-8".into(), status == 200))?;
        let asked = headers.iter().find(|(name, _)| name == "retry-after").map(|(_, value)| value.as_str());
        let wait_ms = asked.and_then(|value| retry_after(value, now())).or_else(|| retry_info(&body));
        let took_ms = began.elapsed().as_millis() as u64;
        Ok(Heard { status, body: self.scrub(&body), wait_ms, headers, took_ms })
    }

    /// A failure of the exchange itself. `answering`: the endpoint had begun to answer well.
    fn fault_of(&self, error: &ureq::Error, answering: bool) -> Fault {
        use ureq::Timeout;
        let says = self.scrub(&error.to_string());
        match error {
            ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
                fault(FaultKind::Connect, "no connection in time".into(), false)
            }
            // It was sent: the endpoint may be working on it.
            ureq::Error::Timeout(_) => fault(FaultKind::Timeout, format!("no whole answer in time ({says})"), true),
            ureq::Error::ConnectionFailed | ureq::Error::HostNotFound | ureq::Error::ConnectProxyFailed(_) => {
                fault(FaultKind::Connect, format!("no connection to {}: {says}", self.base), false)
            }
            ureq::Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => {
                fault(FaultKind::Connect, format!("no connection to {}: {says}", self.base), false)
            }
            ureq::Error::Io(io) if io.kind() == std::io::ErrorKind::TimedOut => {
                fault(FaultKind::Timeout, format!("no whole answer in time ({says})"), true)
            }
            ureq::Error::Tls(_) | ureq::Error::Rustls(_) => {
                fault(FaultKind::Connect, format!("no secure connection to {}: {says}", self.base), false)
            }
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
                fault(FaultKind::BadRequest, format!("{} is no address: {says}", self.base), false)
            }
            ureq::Error::BodyExceedsLimit(_) | ureq::Error::LargeResponseHeader(..) => {
                fault(FaultKind::Malformed, says, true)
            }
            _ if answering => fault(FaultKind::Cut, format!("the answer broke off ({says})"), true),
            // The connection was there and ended before an answer: the request may have arrived.
            _ => fault(FaultKind::Cut, format!("the connection ended before an answer ({says})"), true),
        }
    }
}

pub fn fault(kind: FaultKind, says: String, charged: bool) -> Fault {
    Fault { kind, says, wait_ms: None, charged }
}

/// What a status that is not 200 means. `code` is the endpoint's own word for it, `message` its sentence.
pub fn fault_of_status(heard: &Heard, code: &str, message: &str) -> Fault {
    let code_lower = code.to_lowercase();
    let no_money = ["insufficient_quota", "billing", "credit", "payment"];
    let kind = match heard.status {
        402 => FaultKind::Quota,
        429 if no_money.iter().any(|word| code_lower.contains(word) || message.to_lowercase().contains("billing")) => {
            FaultKind::Quota
        }
        429 => FaultKind::RateLimited,
        408 | 409 | 425 | 500..=599 => FaultKind::Server,
        401 | 403 => FaultKind::Unauthorized,
        404 => FaultKind::NotFound,
        _ => FaultKind::BadRequest,
    };
    let mut says = format!("HTTP {}", heard.status);
    for part in [code, message].into_iter().filter(|part| !part.is_empty()) {
        says.push_str(": ");
        says.extend(part.chars().take(WORDS).map(|c| if c.is_control() { ' ' } else { c }));
    }
    Fault { kind, says, wait_ms: heard.wait_ms, charged: false }
}

/// `Retry-After`: seconds, or a date.
pub fn retry_after(value: &str, now: f64) -> Option<u64> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return (seconds.is_finite() && seconds >= 0.0).then_some((seconds * 1000.0) as u64);
    }
    // Dates of HTTP end in GMT, which the mail format that they come from calls +0000.
    let date = OffsetDateTime::parse(&value.replace("GMT", "+0000"), &Rfc2822).ok()?;
    Some(((date.unix_timestamp() as f64 - now).max(0.0) * 1000.0) as u64)
}

/// Gemini's RetryInfo among the details of an error: `"retryDelay": "17s"`.
fn retry_info(body: &str) -> Option<u64> {
    let value: Value = serde_json::from_str(body).ok()?;
    let value = if value.is_array() { value.get(0)?.clone() } else { value };
    let details = value.pointer("/error/details")?.as_array()?;
    let delay = details.iter().find_map(|detail| detail.get("retryDelay")?.as_str())?;
    let seconds: f64 = delay.strip_suffix('s')?.parse().ok()?;
    (seconds.is_finite() && seconds >= 0.0).then_some((seconds * 1000.0) as u64)
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn is_loopback(base: &str) -> bool {
    let host = base.split("://").nth(1).unwrap_or(base).split('/').next().unwrap_or("");
    ["localhost", "127.", "[::1]"].iter().any(|local| host.starts_with(local))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_seconds_dates_or_details() {
        // 1994-11-06 08:49:37 UTC.
        let then = 784_111_777.0;
        for (value, wait) in [
            ("3", Some(3000)),
            ("0.5", Some(500)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10_000)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", Some(0)),
            ("-3", None),
            ("soon", None),
            ("", None),
            ("NaN", None),
        ] {
            assert_eq!(retry_after(value, then), wait, "{value}");
        }
        let body = r#"{"error":{"code":429,"details":[{"@type":"x"},{"retryDelay":"17.5s"}]}}"#;
        assert_eq!(retry_info(body), Some(17_500));
        assert_eq!(retry_info("{}"), None);
    }

    #[test]
    fn each_status_has_its_fault() {
        use FaultKind::*;
        for (status, code, message, kind) in [
            (408, "", "", Server),
            (409, "", "", Server),
            (425, "", "", Server),
            (429, "rate_limit_exceeded", "", RateLimited),
            (429, "RESOURCE_EXHAUSTED", "", RateLimited),
            (429, "insufficient_quota", "", Quota),
            (429, "", "check your plan and billing details", Quota),
            (402, "", "", Quota),
            (500, "", "", Server),
            (503, "", "", Server),
            (529, "", "", Server),
            (400, "", "", BadRequest),
            (422, "", "", BadRequest),
            (301, "", "", BadRequest),
            (401, "", "", Unauthorized),
            (403, "", "", Unauthorized),
            (404, "", "", NotFound),
        ] {
            let heard = Heard { status, body: String::new(), wait_ms: Some(7), headers: vec![], took_ms: 0 };
            let fault = fault_of_status(&heard, code, message);
            assert_eq!((fault.kind, fault.wait_ms, fault.charged), (kind, Some(7), false), "{status} {code}");
        }
    }
}
