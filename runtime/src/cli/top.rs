//! `planktor top`.

use super::{Failure, print};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use planktor_actors::timing::{Miss, Stage};
use planktor_runtime::dataset::timing::{Longest, Times, Timing};
use std::io::{IsTerminal, Write, stdout};
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// The program answers from memory.
const PATIENCE: Duration = Duration::from_secs(5);
/// A document of numbers; whoever sends more is not our program.
const MOST_BYTES: usize = 1 << 20;

#[derive(Debug, clap::Args)]
pub(crate) struct Top {
    /// Where the instrument's page is
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    page: String,
    /// A login's token, where the page asks for one
    #[arg(long, value_name = "TOKEN", env = "PLANKTOR_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// From one look to the next, s
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=3600))]
    every: u32,
    /// Look once
    #[arg(long)]
    once: bool,
    /// Print what is answered as it is, a line a look
    #[arg(long)]
    json: bool,
}

impl Top {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let clears = !self.once && !self.json && stdout().is_terminal();
            loop {
                let text =
                    timeout(PATIENCE, self.ask()).await.map_err(|_| self.silent("no answer in time"))??;
                if self.json {
                    print(text.trim());
                } else {
                    let timing = serde_json::from_str(&text).map_err(|error| self.silent(error))?;
                    let clear = if clears { "\x1b[H\x1b[2J" } else { "" };
                    print(format_args!("{clear}{}", table(&timing)));
                }
                stdout().flush()?;
                if self.once {
                    return Ok(ExitCode::SUCCESS);
                }
                sleep(Duration::from_secs(self.every.into())).await;
            }
        })
    }

    fn silent(&self, why: impl std::fmt::Display) -> String {
        format!("no instrument answers on http://{}/: {why}; start planktor run, or check --page", self.page)
    }

    async fn ask(&self) -> Result<String, Failure> {
        let stream = TcpStream::connect(&self.page).await.map_err(|error| self.silent(error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| self.silent(e))?;
        let mut request = Request::get("/api/timing").header(HOST, &self.page);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let answer = async {
            let response = sender.send_request(request.body(String::new())?).await?;
            read(response).await
        };
        tokio::select! {
            answer = answer => {
                let (status, text) = answer.map_err(|error| self.silent(error))?;
                match status {
                    StatusCode::OK => Ok(text),
                    StatusCode::UNAUTHORIZED => Err("the page asks who you are; log in there and say --token".into()),
                    other => Err(self.silent(other).into()),
                }
            }
            ended = connection => Err(self.silent(ended.err().map_or("it has closed the connection".into(), |e| e.to_string())).into()),
        }
    }
}

async fn read(response: Response<Incoming>) -> Result<(StatusCode, String), Failure> {
    let status = response.status();
    let body = axum::body::to_bytes(axum::body::Body::new(response.into_body()), MOST_BYTES).await?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

fn table(timing: &Timing) -> String {
    let mut text = format!("{:<28}{:>9}{:>12}{:>12}{:>12}{:>12}\n", "ms", "n", "p50", "p99", "p99.9", "most");
    let mut line = |name: &str, times: &Times| {
        let Times { n, p50_us, p99_us, p999_us, most_us } = times;
        let [p50, p99, p999, most] = [p50_us, p99_us, p999_us, most_us].map(|us| us / 1e3);
        text.push_str(&format!("{name:<28}{n:>9}{p50:>12.3}{p99:>12.3}{p999:>12.3}{most:>12.3}\n"));
    };
    for stage in Stage::ALL {
        if let Some(times) = timing.stages.get(stage.word()) {
            line(&stage.word().replace('_', " "), times);
        }
    }
    for (name, times) in &timing.handlers {
        line(name, times);
    }
    if let Some(Longest { handler, us }) = &timing.longest_handler {
        text.push_str(&format!("longest handler: {handler}, {:.3} ms\n", us / 1e3));
    }
    let misses = Miss::ALL.iter().map(|what| {
        format!("{} {}", what.word().replace('_', " "), timing.misses.get(what.word()).copied().unwrap_or(0))
    });
    text.push_str(&format!("missed: {}", misses.collect::<Vec<_>>().join(", ")));
    text
}
