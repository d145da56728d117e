use std::io::ErrorKind;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::net::TcpListener;

use super::StartError;
use super::tls::ServerTls;
use crate::kernel::{Clock, Error, FieldIssue};
use crate::outbound::{AddressGuard, HttpClient};
use crate::settings::{LoadedSettings, ServerSettings};
use crate::storage::Stores;

/// Looks for all that would keep a server with these settings from starting on this machine, and leaves nothing behind. That another
/// server has a port or the data folder is found out at the start only. Gives what an operator may not expect of the files for TLS.
pub async fn check(loaded: &LoadedSettings) -> Result<Vec<String>, StartError> {
    let LoadedSettings { settings, environment } = loaded;
    let mut wrong = Stores::check(&settings.storage).await;
    wrong.extend(check_ports(&settings.server).await.err());
    let outbound = &settings.outbound;
    let client = HttpClient::new(environment, AddressGuard::of(outbound), outbound.reply_reader);
    wrong.extend(client.err().map(|error| ("HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, SSL_CERT_FILE", error)));
    let issue = |(variables, error): (&str, Error)| {
        FieldIssue::new("value_error", vec![variables.into()], error.to_string(), Value::Null)
    };
    let mut issues: Vec<_> = wrong.into_iter().map(issue).collect();
    let tls = match &settings.server.tls {
        Some(tls) => ServerTls::check(tls, &Clock::system()).await,
        None => Ok(Vec::new()),
    };
    let warnings = tls.unwrap_or_else(|error| {
        issues.push(error.into());
        Vec::new()
    });
    if issues.is_empty() { Ok(warnings) } else { Err(StartError::Settings(issues)) }
}

/// Whether this machine has the address, and this account may listen there.
async fn check_ports(settings: &ServerSettings) -> Result<(), (&'static str, Error)> {
    let ports =
        [("API_HOST, API_PORT", Some(settings.address.port())), ("API_HOST, CHAT_UI_PORT", settings.chat_ui_port)];
    for (variables, port) in ports {
        let Some(port) = port else { continue };
        let address = SocketAddr::new(settings.address.ip(), port);
        if let Err(error) = TcpListener::bind(address).await
            && error.kind() != ErrorKind::AddrInUse
        {
            return Err((variables, Error::internal_public(format!("can't listen on {address}"), error)));
        }
    }
    Ok(())
}
