use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<DatabaseUrl, String> {
    DatabaseUrl::read(&SecretUrl::new(text), UrlReach::Network)
}

#[test]
fn urls_are_read_as_hosters_orms_and_drivers_hand_them_out() {
    for text in [
        "postgres://u:p%40w@h:5433/shop?sslmode=require&channel_binding=require",
        "postgresql+asyncpg://u:p%40w@h:5433/shop?ssl=require",
        "postgresql+psycopg2://u:p%40w@h:5433/shop?sslmode=require&target_session_attrs=read-write",
        "postgres://u:p%40w@h:5433/shop?pgbouncer=true&connection_limit=1&pool_timeout=0&sslmode=require",
        "jdbc:postgresql://h:5433/shop?user=u&sslmode=require&password=p%40w",
        "pgsql://u:p%40w@h/shop?port=5433&sslmode=no-verify",
        "mysql+pymysql://u:p%40w@h:5433/shop?charset=utf8mb4&ssl=true",
        "mysql://u:p%40w@h:5433/shop?ssl-mode=REQUIRED&serverVersion=8.0.32",
        "jdbc:mysql://h:5433/shop?sslMode=REQUIRED&serverTimezone=UTC&user=u&password=p%40w",
        "mysql2://u:p%40w@h:5433/shop?useSSL=true&allowPublicKeyRetrieval=true&pool=5&ssl={\"rejectUnauthorized\":false}",
    ] {
        let url = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let password = url.password.as_deref().unwrap();
        let found = (url.host.as_str(), url.port, url.user.as_str(), password, url.database.as_str(), url.ssl_mode);
        assert_eq!(found, ("h", Some(5433), "u", "p@w", "shop", Some(SslMode::Require)), "{text}");
    }
}

#[test]
fn parameters_ask_for_protection_in_many_words_and_the_strongest_counts() {
    use SslMode::{Disable, Prefer, Require, VerifyCa, VerifyFull};
    for (text, mode) in [
        ("postgres://h/d", None),
        ("postgres://h/d?sslmode=disable", Some(Disable)),
        ("postgres://h/d?sslmode=prefer", Some(Prefer)),
        ("postgres://h/d?sslmode=require&sslrootcert=system", Some(VerifyFull)),
        ("postgres://h/d?sslrootcert=system&sslmode=require", Some(VerifyFull)),
        ("postgres://h/d?sslmode=require&sslmode=prefer", Some(Require)),
        ("mysql://h/d?sslaccept=strict&sslmode=require", Some(VerifyFull)),
        ("mysql://h/d?ssl=true&ssl-mode=DISABLED", Some(Require)),
        ("postgres://h/d?ssl=false", Some(Disable)),
        ("jdbc:postgresql://h/d?ssl=true", Some(VerifyFull)),
        ("mysql://h/d?ssl-mode=VERIFY_IDENTITY", Some(VerifyFull)),
        ("mysql://h/d?sslaccept=strict", Some(VerifyFull)),
        ("mysql://h/d?ssl={\"rejectUnauthorized\":true}", Some(VerifyFull)),
        ("mysql://h/d?tls=skip-verify", Some(Require)),
        ("jdbc:mysql://h/d?useSSL=true&requireSSL=true&verifyServerCertificate=true", Some(VerifyCa)),
        ("mysql://h/d?ssl_verify_identity=true&ssl=true", Some(VerifyFull)),
        ("mysql://h/d?ssl_verify_cert=false", None),
    ] {
        assert_eq!(read(text).unwrap().ssl_mode, mode, "{text}");
    }
}

#[test]
fn a_search_path_is_honoured_and_what_changes_nothing_is_named() {
    for (text, path) in [
        ("postgres://h/d?options=-c%20search_path%3Dsales", vec!["sales"]),
        ("postgres://h/d?options=-c+search_path=sales,public", vec!["sales", "public"]),
        ("postgres://h/d?schema=Sales", vec!["Sales"]),
        ("jdbc:postgresql://h/d?currentSchema=Sales", vec!["sales"]),
    ] {
        assert_eq!(read(text).unwrap().search_path, path, "{text}");
    }
    let unused = read("postgres://h/d?sslmode=require&channel_binding=require&connect_timeout=5").unwrap().unused();
    assert_eq!(unused.unwrap(), "Parameters of the URL that change nothing here: channel_binding, connect_timeout");
    assert_eq!(read("postgres://h/d?sslmode=require&application_name=x").unwrap().unused(), None);
}

#[test]
fn what_can_not_be_had_is_refused_in_words_that_fit() {
    for (text, said) in [
        ("postgres://u:p@h1:5432,h2:5432/d?target_session_attrs=primary", "names one host"),
        ("postgres://h1:5432,h2:5432/d", "names one host"),
        ("postgres:///d?host=h1,h2", "names one host"),
        ("postgres://u:p@h1%2Ch2/d", "names one host"),
        ("postgres://u:p@run%2Fpostgresql/d", "a URL that starts with postgres://"),
        ("postgres:///d?host=run/postgresql", "a URL that starts with postgres://"),
        ("postgres:///d", "name a host"),
        ("postgres:///d?host=/var/run/postgresql", "sockets of this machine"),
        ("postgres://u@%2Fvar%2Frun%2Fpostgresql/d", "sockets of this machine"),
        ("mysql://u@localhost/d?unix_socket=/run/mysqld.sock", "'unix_socket', which names a socket"),
        ("postgres://h/d?sslrootcert=/etc/ca.pem", "'sslrootcert', which names a file"),
        ("postgres://h/d?sslcert=/etc/a.pem", "'sslcert', which names a file"),
        ("postgres://h/d?hostaddr=10.0.0.1", "'hostaddr'"),
        ("postgres://h/d?sslmode=perhaps", "sslmode is disable, allow"),
        ("postgres://h/d?options=-c%20role%3Downer", "no more than search_path"),
        ("mysql://h/d?init_command=SET%20x", "'init_command', which has statements run"),
        ("mysql://h/d?search_path=x", "one of PostgreSQL's"),
        ("postgres://h/d?no_such=x", "'no_such', which is not known"),
        ("postgres://h/d?port=x", "'port', which should be a port"),
        ("postgres://h/d?password=x", "'password', which belongs before the @"),
        ("jdbc:postgresql://h/d?user=u&password=x&no_such=x", "one of its parameters"),
        ("postgres://u:p@h/d#x", "without '#'"),
        ("postgres://u:%ff@h/d", "UTF-8"),
        ("postgres://reader:/Word", "percent-encoded"),
        ("postgres://u:p@h:/d", "a URL that starts with postgres://"),
        ("jdbc:postgresql:d", "a URL that starts with postgres://"),
        ("host=h dbname=d password=x", "a URL that starts with postgres://"),
        ("postgres://u:p@ss/w@h/d", "percent-encoded"),
    ] {
        let error = read(text).err().unwrap_or_else(|| panic!("{text}"));
        assert!(error.contains(said), "{text}: {error}");
    }
}

#[test]
fn an_operator_may_name_sockets_and_files_of_the_machine() {
    let read = |text: &str| DatabaseUrl::read(&SecretUrl::new(text), UrlReach::Machine).unwrap();
    for text in [
        "postgres:///d?host=/var/run/postgresql",
        "postgres://u@%2Fvar%2Frun%2Fpostgresql/d",
        "postgres://u:p@/d?host=/var/run/postgresql",
    ] {
        let url = read(text);
        assert_eq!((url.socket.as_deref(), url.host.as_str()), (Some("/var/run/postgresql"), ""), "{text}");
    }
    assert_eq!(read("postgres://u:p@/d?host=/cloudsql/a:b:c").socket.as_deref(), Some("/cloudsql/a:b:c"));
    for text in ["postgres://u:p@/d?host=h", "postgres://u:p@/d?host=/run/postgresql&host=h"] {
        assert_eq!((read(text).host.as_str(), read(text).socket), ("h", None), "{text}");
    }
    assert_eq!(read("postgres://h/d?sslrootcert=/etc/ca.pem").root_certificate.as_deref(), Some("/etc/ca.pem"));
}

proptest! {
    /// All but the password is in capitals or known, so that a piece of the password is one.
    #[test]
    fn no_piece_of_a_password_is_in_a_refusal(
        password in "[g-z0-9@/?#:&=%;]{4,20}",
        place in 0_usize..3,
    ) {
        let text = match place {
            0 => format!("postgres://U:{password}@HOST/DB"),
            1 => format!("postgres://HOST/DB?password={password}"),
            _ => format!("jdbc:mysql://HOST/DB?user=U&password={password}&sslMode=REQUIRED"),
        };
        if let Err(said) = read(&text) {
            let letters: Vec<char> = password.chars().collect();
            let pieces = letters.windows(4).map(|piece| piece.iter().collect::<String>());
            // What a refusal says whatever the password is.
            let fixed = [read("postgres://u:p@ss/w@h/d"), read("postgres://u:p@h/d#x"), read("x"), read("postgres://u:%ff@h/d"),
                read("postgres:///d"), read("jdbc:mysql://h/d?password=x&\"=x"), read("postgres://h/d?password=x")];
            let fixed = fixed.map(|known| known.err().unwrap()).concat();
            for piece in pieces {
                prop_assert!(!said.contains(&piece) || fixed.contains(&piece), "{} of {} in {}", piece, text, said);
            }
        }
    }
}
