use proptest::prelude::*;

use super::*;

fn shown(text: &str) -> String {
    SecretUrl::new(text).to_string()
}

#[test]
fn a_password_is_masked_and_the_mask_stands_for_it() {
    let stored = SecretUrl::new("postgres://u:p%40w@db:5432/x?sslmode=require");
    assert_eq!(stored.to_string(), "postgres://u:********@db:5432/x?sslmode=require");
    assert_eq!(stored.secrets(), [Secret::new("p%40w")]);
    assert_eq!(SecretUrl::new(stored.to_string()).unmask(&stored), stored);
    let stronger = SecretUrl::new("postgres://u:********@db/x?sslmode=verify-full");
    assert_eq!(stronger.unmask(&stored).expose(), "postgres://u:p%40w@db/x?sslmode=verify-full");
    let elsewhere = ["postgres://u:********@other/x?sslmode=require", "postgres://u:********@db:5432/x?sslmode=allow"];
    for url in elsewhere.map(SecretUrl::new) {
        assert_eq!(url.unmask(&stored), url);
        assert!(url.has_mask());
    }
}

#[test]
fn harmless_urls_are_shown_as_they_are() {
    for plain in [
        "http://host:80/a",
        "http://host/a@b:c",
        "https://mastodon.example/@ada",
        "https://host/mail?to=ada@example.com&limit=5",
        "sqlite:///a.db",
        "",
        "postgres://u@db/x?sslmode=require",
        "localhost:27017",
        "redis://cache:6379/0",
        "mongodb://a:27017,b:27018/x?replicaSet=rs0",
        "JDBC:postgresql://u@db:5432/x",
    ] {
        assert_eq!((shown(plain).as_str(), SecretUrl::new(plain).secrets().len()), (plain, 0), "{plain}");
        assert_eq!(SecretUrl::new(plain).check_unambiguous(), Ok(()), "{plain}");
    }
}

#[test]
fn what_else_a_text_may_be_is_left_alone() {
    for text in
        ["mcp/server:1.0@sha256:abc", "@scope/pkg@1.2", "npm:@scope/pkg", "at 12:30 to ada@example.com", "C:\\x"]
    {
        assert_eq!(shown_url(text).unwrap_or_else(|| text.to_owned()), text);
    }
    assert_eq!(shown_url("reader:pw@host:5432").unwrap(), "reader:********@host:5432");
}

#[test]
fn a_password_ends_at_the_last_at_sign_whatever_it_holds() {
    for (text, expected) in [
        ("postgres://reader:Secr@t/Word#9@host/shop", "postgres://reader:********@host/shop"),
        ("mongodb://u:pa/ss@h", "mongodb://u:********@h"),
        ("http://u:80/ss@h/x", "http://u:********@h/x"),
        ("redis://:p//w@h", "redis://:********@h"),
        ("u:pw@h", "u:********@h"),
        ("u:p/w@h", "u:********@h"),
        ("u:p://w@h", "u:********@h"),
        ("https://ghp_token@host/x", "https://********@host/x"),
        ("--db=postgres://u:a?b@h/x", "--db=postgres://u:********@h/x"),
        ("postgres://u:a@h1,postgres://u:b@h2", "postgres://u:********@h2"),
    ] {
        assert_eq!(shown(text), expected);
    }
    for ambiguous in [
        "postgres://reader:Secr@t/Word#9@host/shop",
        "http://u:80/ss@h/x",
        "redis://u:12#ss@h",
        "mysql://u:a?b@h/x",
        "http://u:1\\x@h",
        "u:p/w@proxy:3128",
        "http://h/x?password=a:b@c",
    ] {
        assert!(SecretUrl::new(ambiguous).check_unambiguous().is_err(), "{ambiguous}");
    }
    assert_eq!(SecretUrl::new("postgres://u:a@b:c@h/x").check_unambiguous(), Ok(()), "all read this alike");
}

#[test]
fn parameters_that_are_credentials_are_masked_to_the_end() {
    let rows: [(&str, &str, &[&str]); 8] = [
        ("http://h/x?limit=5&api_key=k1&token=k2", "http://h/x?limit=5&api_key=********", &["k1", "k2"]),
        ("postgres://u:k1@h/x?sslpassword=k2", "postgres://u:********@h/x?sslpassword=********", &["k1", "k2"]),
        ("postgres://h/x?pass%77ord=k1&x=y", "postgres://h/x?pass%77ord=********", &["k1"]),
        ("https://h/x#access_token=k1", "https://h/x#access_token=********", &["k1"]),
        ("https://h/x?sig=k1", "https://h/x?sig=********", &["k1"]),
        ("Server=h;Password=k1", "Server=h;Password=********", &["k1"]),
        ("http://h/x?password=a:b@c", "http://h/x?password=********", &["a:b@c"]),
        ("jdbc:mysql://h:80/x?password=a@b", "jdbc:mysql://h:********", &["80/x?password=a@b"]),
    ];
    for (text, expected, secrets) in rows {
        let url = SecretUrl::new(text);
        assert_eq!(url.to_string(), expected);
        let found: Vec<_> = url.secrets().iter().map(|secret| secret.expose().to_owned()).collect();
        let mut found: Vec<_> = found.iter().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found, secrets);
        assert_eq!(SecretUrl::new(expected).unmask(&url), url);
    }
    let stored = SecretUrl::new("https://h/x?api_key=k1");
    assert_eq!(SecretUrl::new("https://h/y?api_key=********").unmask(&stored).expose(), "https://h/y?api_key=k1");
    assert!(SecretUrl::new("https://h/x?token=********").unmask(&stored).has_mask());
    assert!(SecretUrl::new("https://h/x?api_key=********&limit=5").unmask(&stored).has_mask());
}

proptest! {
    /// The rest of the URL is in capitals, so that a piece of the password is one.
    #[test]
    fn no_piece_of_a_password_shows(
        scheme in "postgres://|mysql://|http://|https://|redis://|rediss://|mongodb\\+srv://|jdbc:postgresql://|",
        user in "[A-Z]{0,3}",
        password in "[a-z0-9/:?#@%&=;,!$'()*+\\\\ \"<>\\[\\]^`{|}~é-]{3,20}",
        rest in "(:543)?(/SHOP)?(\\?SSL=OFF)?",
    ) {
        // The user would be a scheme, and the rest an account without a password.
        prop_assume!(!(scheme.is_empty() && password.starts_with("//")));
        let url = SecretUrl::new(format!("{scheme}{user}:{password}@HOST{rest}"));
        let place = format!("{scheme}{user}:{MASK}@HOST{rest} {scheme}{user}@HOST{rest}{MASK}");
        let shown = url.to_string();
        let letters: Vec<char> = password.chars().collect();
        for piece in letters.windows(3).map(|piece| piece.iter().collect::<String>()) {
            prop_assert!(!shown.contains(&piece) || place.contains(&piece), "{piece:?} of {url:?} in {shown}");
        }
        prop_assert_eq!(SecretUrl::new(url.to_string()).unmask(&url), url);
    }

    #[test]
    fn no_piece_of_a_parameter_shows(name in "password|PASSWORD|sslpassword|api_key|access_token|sig", secret in "[a-z0-9/:?#@%&=;+ -]{3,20}") {
        let url = SecretUrl::new(format!("https://HOST/X?LIMIT=5&{name}={secret}"));
        prop_assert_eq!(url.to_string(), format!("https://HOST/X?LIMIT=5&{name}={MASK}"));
        prop_assert_eq!(SecretUrl::new(url.to_string()).unmask(&url), url);
    }
}

#[test]
fn a_password_without_a_host_is_masked_and_a_port_is_shown() {
    for forgotten in
        ["SecrWord9", "SecrWord9/shop", "Secr/Word9", "Secr?Word9", "Secr#Word:9", "/SecrWord9", "?SecrWord9"]
    {
        assert_eq!(SecretUrl::new(format!("postgres://reader:{forgotten}")).to_string(), "postgres://reader:********");
    }
    assert_eq!(SecretUrl::new("http://reader:SecrWord9").to_string(), "http://reader:********");
    for plain in ["http://host:8080/a", "http://[::1]:80/", "http://host:${PORT}/", "sqlite:a.db", "http://host/a:b"] {
        assert_eq!(SecretUrl::new(plain).to_string(), plain);
    }
}
