//! A page that a browser opens, and the server that the page comes from. Its address can be made to lead to the server under
//! test for everything but the page itself, as a name does that its owner lets point elsewhere once the page is there.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::browser;

/// Longest run of a page.
const TIMEOUT: Duration = Duration::from_secs(90);

pub struct HostedPage {
    pub port: u16,
    report: watch::Receiver<Option<Value>>,
}

impl HostedPage {
    /// Serves `/page`, which runs this script and tells what came of it with `tell`; everything else leads to `behind`.
    pub async fn start(script: &str, behind: Option<SocketAddr>) -> Self {
        Self::serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), script, behind).await
    }

    /// The same at this port, unless somebody else has it.
    pub async fn start_at(port: u16, script: &str) -> Option<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.ok()?;
        Some(Self::serve(listener, script, None).await)
    }

    async fn serve(listener: TcpListener, script: &str, behind: Option<SocketAddr>) -> Self {
        let port = listener.local_addr().unwrap().port();
        let (tell, report) = watch::channel(None);
        // The report has an address of its own, or it would go over a connection that leads on.
        let ear = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = ear.local_addr().unwrap();
        let page = format!(
            "<!doctype html><meta charset=\"utf-8\"><title>A page</title><body><script>\
             const tell = (report) => fetch(\"http://{to}/\", {{method: \"POST\", mode: \"no-cors\", body: JSON.stringify(report)}});\n\
             {script}</script>"
        );
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let page = page.clone();
                tokio::spawn(async move { serve(stream, &page, behind).await });
            }
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = ear.accept().await {
                if let Some(told) = hear(stream).await {
                    tell.send_replace(Some(told));
                }
            }
        });
        Self { port, report }
    }

    /// Has a browser open the page under this name, with the server's URL to work on, and gives the page's report.
    pub async fn play(&self, program: &Path, host: &str, studio: &str) -> Value {
        let folder = TempDir::new().unwrap();
        let url = format!("http://{host}:{}/page?studio={studio}", self.port);
        let mut command = browser::command(program, &folder, &["evil.test", "rebound.test"]);
        command.args(["--remote-debugging-port=0", "--disable-popup-blocking"]).arg(url);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut report = self.report.clone();
        report.mark_unchanged();
        let mut browser = command.spawn().unwrap();
        let told = tokio::time::timeout(TIMEOUT, report.changed()).await;
        let Ok(told) = told else { panic!("the page reports nothing within {TIMEOUT:?}") };
        told.unwrap();
        let told = report.borrow().clone().unwrap();
        browser.kill().await.unwrap();
        told
    }
}

async fn serve(mut stream: TcpStream, page: &str, behind: Option<SocketAddr>) -> Option<()> {
    let mut start = [0; 16];
    while stream.peek(&mut start).await.ok()? < 12 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    if start.starts_with(b"GET /page") {
        return answer(stream, page).await;
    }
    let mut studio = TcpStream::connect(behind?).await.ok()?;
    copy_bidirectional(&mut stream, &mut studio).await.ok().map(drop)
}

/// The report that a page sends.
async fn hear(mut stream: TcpStream) -> Option<Value> {
    let mut told = Vec::new();
    loop {
        stream.read_buf(&mut told).await.ok().filter(|read| *read > 0)?;
        let body = told.windows(4).position(|four| four == b"\r\n\r\n").map_or(told.len(), |at| at + 4);
        if let Ok(report) = serde_json::from_slice(&told[body..]) {
            answer(stream, "").await;
            return Some(report);
        }
    }
}

async fn answer(mut stream: TcpStream, body: &str) -> Option<()> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close";
    stream.write_all(format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await.ok()?;
    stream.shutdown().await.ok()?;
    // What is left of the request is read, or closing would take the reply back.
    let mut rest = tokio::io::sink();
    tokio::time::timeout(Duration::from_secs(5), tokio::io::copy(&mut stream, &mut rest)).await.ok()?.ok().map(drop)
}
