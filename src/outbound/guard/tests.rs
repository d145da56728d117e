use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Public,
    /// Refused by `public_only` alone.
    Local,
    Never,
    NoHost,
}
use Is::{Local, Never, NoHost, Public};

fn guard(public_only: bool, allow: &[&str]) -> AddressGuard {
    let allow: Vec<AllowedTarget> = allow.iter().map(|entry| entry.parse().unwrap()).collect();
    AddressGuard::new(public_only, &allow)
}

/// The verdict under both policies; panics where they contradict each other.
fn verdict(check: impl Fn(&AddressGuard) -> Result<(), AddressDenied>) -> Is {
    let why = |public_only| check(&guard(public_only, &[])).err();
    match (why(false), why(true)) {
        (None, None) => Public,
        (None, Some(AddressDenied::Policy { .. })) => Local,
        (Some(AddressDenied::Never { .. }), Some(AddressDenied::Never { .. })) => Never,
        (Some(AddressDenied::NotAHost(_)), Some(AddressDenied::NotAHost(_))) => NoHost,
        other => panic!("{other:?}"),
    }
}

const HOSTS: &[(Is, &str)] = &[
    (Local, "127.0.0.1 127.1 127.0.1 127.255.255.254 2130706433 0x7f000001 0x7F.1 0177.0.0.1 017700000001 127.0.0.1."),
    (Local, "0x7f.0x0.0x0.0x1 00000177.1 １２７.０.０.１ 127。0。0。1 ①②⑦.1 127.0.0\u{ad}.1 %31%32%37.1 ::1 [::1]"),
    (Local, "[0:0:0:0:0:0:0:1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::127.0.0.1] [64:ff9b::7f00:1] [2002:7f00:1::]"),
    (Local, "[::ffff:0:127.0.0.1] localhost LOCALHOST localhost. a.localhost a.b.LocalHost. ｌocalhost"),
    (Local, "10.0.0.5 10.255.255.255 167772165 0xa000005 012.0.0.5 10.5 172.16.0.1 172.31.255.255 192.168.1.1"),
    (
        Local,
        "192.168.257 0xC0A80101 100.64.0.1 100.127.255.255 100.100.100.201 192.0.0.1 198.18.0.1 198.19.255.255 [::ffff:10.0.0.5]",
    ),
    (Local, "[fc00::1] [fd12:3456::1] [fdff::] [fec0::1] [feff::1] [64:ff9b::192.168.1.1] [64:ff9b:1::10.0.0.5]"),
    (Local, "[64:ff9b:1:a00:0:500::] [64:ff9b:1:10a:0:5::] [64:ff9b:1:1:a:0:500:0] [2002:c0a8:101::1] [2001:2::1]"),
    (
        Local,
        "[2001:0:a00:5::f7f7:f7f7] [2001:0:808:808::f5ff:fffa] [2606:4700::5efe:10.0.0.5] [2606:4700::200:5efe:a00:5]",
    ),
    (Never, "169.254.169.254 169.254.170.2 169.254.0.1 2852039166 0xA9FEA9FE 0xa9.0xfe.0xa9.0xfe 0251.0376.0251.0376"),
    (
        Never,
        "169.254.43518 169.16689662 [::ffff:169.254.169.254] [::ffff:a9fe:a9fe] [::a9fe:a9fe] [64:ff9b::a9fe:a9fe]",
    ),
    (Never, "[2002:a9fe:a9fe::] [64:ff9b:1::a9fe:a9fe] [64:ff9b:1:a9fe:a9:fe00::] [2001:0:808:808::5601:5601]"),
    (Never, "[fe80::1] [fe80::5efe:8.8.8.8] [febf::1] 100.100.100.200 168.63.129.16 192.0.0.192 [fd00:ec2::254]"),
    (Never, "[fd20:ce::254] [fd00:ec2::23] [fd00:c1::a9fe:a9fe] [::ffff:100.100.100.200] 0x64.0x64.0x64.0xc8"),
    (Never, "metadata METADATA metadata. metadata.google.internal Metadata.Google.Internal. metadata.goog"),
    (Never, "instance-data instance-data.ec2.internal ｍetadata.goog metadata。google。internal"),
    (
        Never,
        "0 0.0.0.0 0x0 00 0.0.0.1 [::] [::ffff:0:0] [::2] [64:ff9b::] [64:ff9b:1::] 224.0.0.1 239.255.255.255 [ff02::1]",
    ),
    (
        Never,
        "255.255.255.255 4294967295 0xffffffff 240.0.0.1 192.0.2.1 198.51.100.1 203.0.113.1 [2001:db8::1] [3fff::1]",
    ),
    (Never, "[100::1] [5f00::1] [4000::1] [2001:10::1] [200::1]"),
    (
        Public,
        "8.8.8.8 134744072 0x8.8.8.8 010.8.8.8 1.1 9.255.255.255 11.0.0.0 172.15.0.1 172.32.0.1 192.167.0.1 126.0.0.1",
    ),
    (Public, "128.0.0.1 100.63.0.1 100.128.0.1 169.253.0.1 198.20.0.1 192.0.1.1 223.255.255.255"),
    (
        Public,
        "[2606:4700::1111] [2001:4860:4860::8888] [::ffff:8.8.8.8] [64:ff9b::8.8.8.8] [64:ff9b:1::8.8.8.8] [2002:808:808::]",
    ),
    (Public, "example.com EXAMPLE.com. db db_1 bücher.de metadata.example.com notlocalhost localhost.example.com"),
    (NoHost, "[] [fe80::1%eth0] fe80::1%25eth0 [::1%1] 256.256.256.256 1.2.3.4.5 0x100000000 4294967296 08.1 a.1 ."),
    (NoHost, "a/b /run/db.sock a:80 [127.0.0.1] [localhost] [::1 ::1] a@b a%00b a%2fb ::ffff:1.2.3.4.5 10.0.0.0/8"),
];

#[test]
fn every_spelling_of_a_host_gets_its_verdict() {
    let (mut rows, mut urls) = (0, 0);
    for (expected, hosts) in HOSTS {
        for host in hosts.split(' ') {
            rows += 1;
            assert_eq!(verdict(|guard| guard.check_host(host)), *expected, "{host}");
            // In a URL too, whether or not the `url` crate normalises hosts of its scheme.
            for scheme in ["http", "redis"] {
                // What is not a host may be read as the beginning of something else, such as a path.
                if *expected != NoHost
                    && let Ok(url) = Url::parse(&format!("{scheme}://user:8.8.8.8@{host}:81/8.8.8.8?h=8.8.8.8#8.8.8.8"))
                {
                    urls += 1;
                    assert_eq!(verdict(|guard| guard.check_url(&url)), *expected, "{url}");
                }
            }
        }
    }
    assert!(rows >= 150 && urls >= 270, "{rows} {urls}");
    for host in ["", " ", " 127.0.0.1", "127.0.0.1 ", "127.0.0.1\n", "a\tb", "a b", &"a.".repeat(200)] {
        assert_eq!(verdict(|guard| guard.check_host(host)), NoHost, "{host:?}");
    }
    for url in ["file:///etc/passwd", "data:,x", "mailto:a@b", "unix:/run/db.sock", "redis:///0"] {
        assert_eq!(verdict(|guard| guard.check_url(&Url::parse(url).unwrap())), NoHost, "{url}");
    }
}

#[test]
fn a_redirect_can_not_lead_inside() {
    let base = Url::parse("https://api.example.com/v1/x").unwrap();
    let rows = [
        (
            Public,
            "/v2 //example.org/ ?a=//127.0.0.1/ ../169.254.169.254 http:/v2x https:169.254.169.254 http://a#@169.254.169.254 http://a.example\\@10.0.0.5/",
        ),
        (
            Never,
            "//169.254.169.254/ http:\\\\169.254.169.254\\ http://0xA9FEA9FE/ //[::ffff:a9fe:a9fe]/ \\\\169.254.169.254",
        ),
        (Never, "/\\169.254.169.254 http:169.254.169.254 http://8.8.8.8@169.254.169.254/"),
        (Never, "//１６９.254.169.254 //169.254.169.254:443 //metadata.google.internal./"),
        (
            Local,
            "//127.1 //0x7f.1/ //[::1]:8080/ http:\\\\localhost\\ //LOCALHOST. //8.8.8.8%40x@10.0.0.1 //192.168.257/",
        ),
        (Local, "//%6cocalhost/ //1\t2\n7.1/ redis://0x7f.1/ //[64:ff9b::a00:5]"),
    ];
    for (expected, locations) in rows {
        for location in locations.split(' ') {
            let url = base.join(location).unwrap_or_else(|error| panic!("{location:?}: {error}"));
            assert_eq!(verdict(|guard| guard.check_url(&url)), expected, "{location:?} is {url}");
        }
    }
}

#[test]
fn of_a_resolved_name_only_harmless_addresses_are_left() {
    let resolver = HashMap::from([
        ("public.example", "8.8.8.8 2606:4700::1111"),
        ("loopback.example", "127.0.0.1 ::1"),
        ("private.example", "10.0.0.5 fd00::1 ::ffff:192.168.0.1"),
        ("link.example", "169.254.169.254 fe80::1 64:ff9b::a9fe:a9fe"),
        ("mixed.example", "169.254.169.254 8.8.8.8 10.0.0.5 ::ffff:127.0.0.1 1.1.1.1 0.0.0.0"),
        ("metadata.goog", "8.8.8.8"),
        ("localhost", "127.0.0.1 169.254.1.1"),
        ("nothing.example", ""),
    ]);
    let ask = |guard: AddressGuard, host: &str| {
        let answer = resolver[host].split_whitespace().map(|it| SocketAddr::new(it.parse().unwrap(), 443));
        let kept = guard.allowed(host, answer).map_err(|denied| denied.to_string())?;
        Ok(kept.iter().map(|it| it.ip().to_string()).collect::<Vec<_>>().join(" "))
    };
    let both = |host| (ask(guard(false, &[]), host), ask(guard(true, &[]), host));
    let kept = |addresses: &str| Ok::<_, String>(addresses.to_owned());
    let denied = |text: &str| Err::<String, _>(text.to_owned());
    let by_policy = |text: &str| denied(&format!("{text}, which OUTBOUND_POLICY=public_only does not allow"));
    let never = |text: &str| denied(&format!("{text}, which is never called"));

    let all = kept("8.8.8.8 2606:4700::1111");
    assert_eq!(both("public.example"), (all.clone(), all));
    let all = kept("127.0.0.1 ::1");
    assert_eq!(both("loopback.example"), (all, by_policy("127.0.0.1 (loopback.example) is a loopback address")));
    let all = kept("10.0.0.5 fd00::1 ::ffff:192.168.0.1");
    assert_eq!(both("private.example"), (all, by_policy("10.0.0.5 (private.example) is a private address")));
    let none = never("169.254.169.254 (link.example) is a link-local address");
    assert_eq!(both("link.example"), (none.clone(), none));
    let some = kept("8.8.8.8 10.0.0.5 ::ffff:127.0.0.1 1.1.1.1");
    assert_eq!(both("mixed.example"), (some, kept("8.8.8.8 1.1.1.1")));
    let none = never("metadata.goog is the name of a metadata service");
    assert_eq!(both("metadata.goog"), (none.clone(), none));
    assert_eq!(both("nothing.example").0, denied("nothing.example has no address"));

    // What the allow list names is kept beside what is public, but never more than that.
    assert_eq!(ask(guard(true, &["private.example"]), "private.example"), both("private.example").0);
    assert_eq!(ask(guard(true, &["*.example"]), "mixed.example"), both("mixed.example").0);
    assert_eq!(ask(guard(true, &["192.168.0.0/16"]), "private.example"), kept("::ffff:192.168.0.1"));
    assert_eq!(ask(guard(true, &["127.0.0.0/8"]), "localhost"), kept("127.0.0.1"));
    assert_eq!(
        ask(guard(true, &["*.example", "link.example", "0.0.0.0/0", "::/0"]), "link.example"),
        both("link.example").0
    );
}

#[test]
fn the_allow_list_opens_what_it_names_and_nothing_more() {
    let open = |entry: &str, host: &str| guard(true, &["unrelated", entry]).check_host(host).is_ok();
    assert!(open("10.0.0.0/8", "10.0.0.5") && open("10.0.0.0/8", "[::ffff:a00:5]") && open("10.0.0.5", "0xa000005"));
    assert!(open("fd00::/8", "[fd00::1]") && open("::1", "[::1]") && open("::ffff:10.0.0.0/104", "10.1.1.1"));
    assert!(open("localhost", "LocalHost.") && open("*.localhost", "a.localhost") && open("::1", "localhost"));
    assert!(!open("10.0.0.0/8", "192.168.0.1") && !open("::/0", "10.0.0.5") && !open("fd00::/8", "[fc00::1]"));
    assert!(!open("localhost", "127.0.0.1") && !open("localhost", "a.localhost") && !open("*.localhost", "localhost"));
    // Both ends of a Teredo address have to be allowed.
    assert!(!open("10.0.0.5", "[2001:0:a00:5::f5ff:fff9]") && open("10.0.0.0/8", "[2001:0:a00:5::f5ff:fff9]"));
    for never in
        ["169.254.169.254", "metadata.google.internal", "100.100.100.200", "[fe80::1]", "[::]", "255.255.255.255"]
    {
        let everything = ["0.0.0.0/0", "::/0", "metadata.google.internal", "*.internal", "100.100.100.200"];
        assert!(guard(true, &everything).check_host(never).is_err(), "{never}");
    }
}

#[test]
fn a_refusal_says_what_and_why() {
    let text = |host: &str| guard(true, &[]).check_host(host).unwrap_err().to_string();
    assert_eq!(text("0xA9FEA9FE"), "169.254.169.254 is a link-local address, which is never called");
    assert_eq!(text("localhost."), "localhost is a loopback name, which OUTBOUND_POLICY=public_only does not allow");
    assert_eq!(text("a\n[31m b"), "'a\\n[31m b' is not a host that can be called");
    assert!(text(&"a/".repeat(5000)).len() < 300);
}

proptest! {
    #[test]
    fn an_ipv4_address_gets_one_verdict_in_every_spelling(
        v4 in prop_oneof![any::<[u8; 4]>(), proptest::sample::select(vec![[10, 0, 0, 5], [127, 0, 0, 1], [169, 254, 1, 1]])],
    ) {
        let [a, b, c, d] = v4;
        let (bits, v4) = (u32::from_be_bytes(v4), Ipv4Addr::from(v4));
        let expected = verdict(|guard| guard.check_address("a.example", v4.into()));
        let mapped = v4.to_ipv6_mapped();
        prop_assert_eq!(verdict(|guard| guard.check_address("a.example", mapped.into())), expected);
        let spellings = [
            format!("{v4}"), format!("{v4}."), format!("{bits}"), format!("0x{bits:x}"), format!("0X{bits:08X}"),
            format!("0{bits:o}"), format!("0{a:o}.0x{b:x}.{}", u32::from(c) << 8 | u32::from(d)),
            format!("{a}.{}", bits & 0xff_ffff), format!("[{mapped}]"), format!("::ffff:{:x}:{:x}", bits >> 16, bits & 0xffff),
            format!("[64:ff9b::{v4}]"), format!("[64:ff9b:1::{v4}]"), format!("[2002:{:x}:{:x}::]", bits >> 16, bits & 0xffff),
            format!("[::ffff:0:{v4}]"), format!("[2001:0:{:x}:{:x}::{:x}:{:x}]", bits >> 16, bits & 0xffff, !bits >> 16, !bits & 0xffff),
        ];
        for host in spellings {
            prop_assert_eq!(verdict(|guard| guard.check_host(&host)), expected, "{}", host);
        }
    }

    #[test]
    fn any_text_gets_a_verdict(host in "\\PC{0,30}|[0-9a-fx.:%\\[\\]]{0,30}", address: [u8; 16]) {
        for public_only in [false, true] {
            drop(guard(public_only, &[]).check_host(&host));
            drop(guard(public_only, &[]).check_address(&host, address.into()));
        }
    }
}
