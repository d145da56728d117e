//! The files that a server shows who it is with: what is said of wrong ones, at the start and while it runs.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::common::certificates::{Authority, Certificate};
use crate::common::program::free_port;
use crate::common::wire::Target;
use crate::common::{Client, Program};

/// Longest wait for files to be looked at again.
const DEADLINE: Duration = Duration::from_secs(20);

fn run(command: &str, folder: &Path, cert: Option<&Path>, key: Option<&Path>) -> Output {
    let given = [("TLS_CERT", cert), ("TLS_KEY", key)];
    let given: Vec<_> = given.iter().filter_map(|(name, path)| Some((*name, path.as_ref()?.to_str()?))).collect();
    Program::run(command, folder, &given)
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn files_that_can_not_be_used_are_refused_with_the_variable_and_the_reason() {
    let Some(authority) = Authority::new() else { return };
    let folder = TempDir::new().unwrap();
    let (one, two) = (authority.issue("one"), authority.issue("two"));
    let write = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let encrypted = authority.path("encrypted.key");
    let encrypt = ["pkcs8", "-topk8", "-in", "one.key", "-passout", "pass:secret", "-out", "encrypted.key"];
    assert!(authority.openssl(&encrypt));
    let empty = write("empty", b"");
    let half = write("half", &std::fs::read(&one.cert).unwrap()[..400]);
    let junk = write("junk", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let junk_key = write("junk.key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    let large = write("large", &vec![b' '; 1_000_001]);
    let missing = folder.path().join("missing");
    let pasted = std::fs::read_to_string(&one.key).unwrap();
    let cases: [(Option<&Path>, Option<&Path>, &str, &str); 13] = [
        (Some(&one.cert), None, "TLS_KEY", "where TLS_CERT is set"),
        (None, Some(&one.key), "TLS_CERT", "where TLS_KEY is set"),
        (Some(&missing), Some(&one.key), "TLS_CERT", "missing can't be read: No such file"),
        (Some(&one.cert), Some(&missing), "TLS_KEY", "missing can't be read: No such file"),
        (Some(folder.path()), Some(&one.key), "TLS_CERT", "is no file"),
        (Some(&large), Some(&one.key), "TLS_CERT", "has more than 1000000 bytes"),
        (Some(&empty), Some(&one.key), "TLS_CERT", "holds no certificate"),
        (Some(&half), Some(&one.key), "TLS_CERT", "is no PEM file"),
        (Some(&junk), Some(&one.key), "TLS_CERT", "holds a certificate that can't be used"),
        (Some(&one.cert), Some(&two.key), "TLS_KEY", "is not the key of the first certificate in"),
        (Some(&one.cert), Some(&encrypted), "TLS_KEY", "holds no private key, or an encrypted one"),
        (Some(&one.cert), Some(&junk_key), "TLS_KEY", "holds a key that can't be used"),
        (Some(&one.cert), Some(Path::new(&pasted)), "TLS_KEY", "not what is in it"),
    ];
    for (cert, key, variable, expected) in cases {
        for command in ["check-config", "serve"] {
            let output = run(command, folder.path(), cert, key);
            let told = said(&output);
            let line = told.lines().find(|line| line.contains(&format!("{variable}: "))).unwrap_or_default();
            assert!(
                line.contains(expected) && output.status.code() == Some(2),
                "{command} should say {expected}: {told}"
            );
            assert!(!told.contains(pasted.lines().nth(1).unwrap()), "the key is shown");
        }
    }
}

#[tokio::test]
async fn what_an_operator_may_not_expect_is_a_warning() {
    let Some(authority) = Authority::new() else { return };
    let folder = TempDir::new().unwrap();
    let (good, expired) = (authority.issue("good"), authority.issue_for("expired", 0));
    let allow = |key: &Path, mode| std::fs::set_permissions(key, std::fs::Permissions::from_mode(mode)).unwrap();
    allow(&good.key, 0o640);
    allow(&expired.key, 0o644);
    let plain = said(&run("check-config", folder.path(), Some(&good.cert), Some(&good.key)));
    assert_eq!(plain, "the configuration is valid\n");
    let output = run("check-config", folder.path(), Some(&expired.cert), Some(&expired.key));
    let told = said(&output);
    assert!(output.status.success() && told.contains("the configuration is valid"), "{told}");
    let is_warned = |told: &str| {
        told.contains("expired.key can be read by everybody on this machine")
            && told.contains("expired.crt has expired: 20")
    };
    assert!(is_warned(&told), "{told}");
    let variables = expired.variables();
    let program =
        Program::start("serve", folder.path(), &variables.each_ref().map(|(name, path)| (*name, path.as_str()))).await;
    let log = program.log();
    assert!(is_warned(&log) && log.contains("https://127.0.0.1:"), "{log}");
}

#[tokio::test]
async fn keys_that_would_come_in_clear_are_warned_of() {
    let Some(authority) = Authority::new() else { return };
    let certificate = authority.issue("server");
    let files = certificate.variables();
    let open = [
        ("API_HOST", "0.0.0.0"),
        ("AUTH_ENABLED", "true"),
        ("AUTH_SECRET_KEY", "0b5c1f6e9a7d4832b5f0c9e8d7a6142335f7a9c1e2d4b6f8"),
    ];
    let tls = files.each_ref().map(|(name, path)| (*name, path.as_str()));
    let cases = [(&[][..], true), (&tls, false), (&[("TRUSTED_PROXIES", "10.0.0.7")], false)];
    for (more, is_warned) in cases {
        let folder = TempDir::new().unwrap();
        let program = Program::start("serve", folder.path(), &[&open[..], more].concat()).await;
        let log = program.log();
        assert_eq!(log.contains("keys and tokens come in clear"), is_warned, "{more:?}: {log}");
        assert_eq!(log.contains("DNS rebinding"), more != tls, "{more:?}: {log}");
    }
}

#[tokio::test]
async fn a_broken_new_file_changes_nothing_and_is_logged_once() {
    let Some(authority) = Authority::new() else { return };
    let (old, new) = (authority.issue("old"), authority.issue("new"));
    let used = Certificate { cert: authority.path("used.crt"), key: authority.path("used.key") };
    let put = |certificate: &Certificate| {
        std::fs::copy(&certificate.cert, &used.cert).unwrap();
        std::fs::copy(&certificate.key, &used.key).unwrap();
    };
    put(&old);
    let folder = TempDir::new().unwrap();
    let variables = used.variables();
    let program =
        Program::start("serve", folder.path(), &variables.each_ref().map(|(name, path)| (*name, path.as_str()))).await;
    let target = Target::of(&program.client.url("")).with_tls(authority.roots());
    let shown = async || {
        let stream = target.shake_hands("127.0.0.1").await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    };
    let complaints = || program.log().matches("the new TLS certificate can't be used").count();
    let complained = async |times: usize| {
        let until = Instant::now() + DEADLINE;
        while complaints() < times {
            assert!(Instant::now() < until, "nothing is said of it: {}", program.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };

    // The certificate has come and its key has not, as when they are copied by hand.
    std::fs::copy(&new.cert, &used.cert).unwrap();
    complained(1).await;
    assert_eq!(shown().await, old.der());
    std::fs::write(&used.cert, "nonsense").unwrap();
    complained(2).await;
    std::fs::remove_file(&used.cert).unwrap();
    complained(3).await;
    // It is looked at again and again.
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!(complaints(), 3);
    assert_eq!(shown().await, old.der());

    put(&new);
    let until = Instant::now() + DEADLINE;
    while shown().await != new.der() {
        assert!(Instant::now() < until, "the certificate is not used once it is right: {}", program.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(complaints(), 3);
}

#[tokio::test]
async fn sub_commands_call_a_server_that_speaks_tls() {
    let Some(authority) = Authority::new() else { return };
    let folder = TempDir::new().unwrap();
    let (certificate, second) = (authority.issue("server"), free_port().to_string());
    let variables = certificate.variables();
    let mut variables: Vec<_> = variables.iter().map(|(name, path)| (*name, path.as_str())).collect();
    variables.push(("CHAT_UI_PORT", &second));
    let program = Program::start("serve", folder.path(), &variables).await;
    let page = Client::trusting(format!("https://127.0.0.1:{second}"), authority.roots());
    page.get("/health").await.expect(200);

    let port = program.port.to_string();
    variables.push(("API_PORT", &port));
    let check = Program::run("healthcheck", folder.path(), &variables);
    assert!(check.status.success() && said(&check) == "ready\n", "{check:?}");
    let cases = folder.path().join("cases.json");
    std::fs::write(&cases, r#"[{"prompt": "Hello", "expect": []}]"#).unwrap();
    let evaluated = Program::run_with(&["evaluate", cases.to_str().unwrap()], folder.path(), &variables);
    assert!(said(&evaluated).contains("1 of 1 as expected"), "{evaluated:?}");
    // Without TLS it is another server.
    let check = Program::run("healthcheck", folder.path(), &[("API_PORT", &port)]);
    assert_eq!(check.status.code(), Some(1), "{check:?}");
}
