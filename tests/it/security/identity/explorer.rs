//! The API explorer of a server that asks who calls, in a real browser.

use super::{ADMIN, with_authentication};
use crate::common::hosted_page::HostedPage;
use crate::common::{TestServer, browser};

const PAGE: &str = include_str!("explorer/authorize.js");

#[tokio::test(flavor = "multi_thread")]
async fn a_person_gives_the_explorer_a_key_and_is_known_from_then_on() {
    let Some(browser) = browser::find() else { return };
    let server = TestServer::with(&with_authentication(&[])).await;
    let address = server.url("").trim_start_matches("http://").parse().unwrap();
    let page = HostedPage::start(&PAGE.replace("KEY", ADMIN), Some(address)).await;
    let report = page.play(&browser, "127.0.0.1", "").await;
    let statuses = report["reports"].as_array().unwrap();
    let statuses: Vec<_> = statuses.iter().map(|told| &told.as_str().unwrap()[..3]).collect();
    assert_eq!(statuses, ["401", "200"], "{report}");
    assert!(report["body"].as_str().unwrap().contains("\"role\": \"admin\""), "{report}");
}
