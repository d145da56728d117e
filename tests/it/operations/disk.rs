//! How full the disk is: the monitoring page against `df`.

use std::process::Command;

use tempfile::TempDir;

use crate::common::Program;

/// What `df` prints of a file system: bytes in all, used and available, and percent.
const DF: [&str; 3] = ["df", "--block-size=1", "--output=size,used,avail,pcent"];

/// Compares what the page shows of `/` with what `df` has printed of it. Others may write to the same disk meanwhile.
async fn compare(program: &Program, printed: &str) -> f64 {
    let metrics = program.client.get("/api/monitoring/metrics").await.expect(200);
    let disk = &metrics["system"]["disk"];
    let shown = |name: &str| disk[name].as_f64().unwrap();
    let numbers = printed.lines().last().unwrap().split_whitespace().map(|text| text.trim_end_matches('%'));
    let numbers: Vec<f64> = numbers.map(|number| number.parse().unwrap()).collect();
    let [total, used, available, percent] = numbers[..] else { panic!("df printed {printed}") };
    for (name, expected) in [("total_gb", total), ("used_gb", used), ("free_gb", available)] {
        let bytes = shown(name) * f64::from(1 << 30);
        assert!((bytes - expected).abs() <= 0.01 * total, "{name}: {bytes} where df says {printed}");
    }
    // df rounds up.
    assert!((shown("percent") - percent).abs() <= 1.0, "{disk} where df says {printed}");
    shown("percent")
}

#[tokio::test]
async fn the_disk_is_as_full_as_df_says() {
    let folder = TempDir::new().unwrap();
    let program = Program::start("serve", folder.path(), &[]).await;
    let [df, options @ ..] = DF;
    let printed = Command::new(df).args(options).arg("/").output().unwrap();
    compare(&program, &String::from_utf8(printed.stdout).unwrap()).await;
}

/// A tmpfs of 20 MB with a file of 6 MB stands at `/`; below it is what stands there otherwise.
#[tokio::test]
async fn a_tmpfs_is_as_full_as_df_says() {
    let folder = TempDir::new().unwrap();
    let mut through: Vec<String> =
        ["bwrap", "--die-with-parent", "--size", "20000000", "--tmpfs", "/"].map(str::to_owned).into();
    for entry in std::fs::read_dir("/").unwrap() {
        let path = entry.unwrap().path();
        let text = path.to_str().unwrap().to_owned();
        match std::fs::read_link(&path) {
            Ok(target) => through.extend(["--symlink".to_owned(), target.to_str().unwrap().to_owned(), text]),
            Err(_) if path.is_dir() && !["/dev", "/proc"].contains(&&*text) => {
                through.extend(["--bind".to_owned(), text.clone(), text]);
            }
            Err(_) => {}
        }
    }
    let script = format!("head -c 6000000 /dev/zero >/filler; {} / >df.txt; exec \"$@\"", DF.join(" "));
    through.extend(["--dev", "/dev", "--proc", "/proc", "sh", "-c", &script, "sh"].map(str::to_owned));
    let through: Vec<_> = through.iter().map(String::as_str).collect();
    let program = Program::start_through(&through, "serve", folder.path(), &[]).await;
    let printed = std::fs::read_to_string(folder.path().join("df.txt")).unwrap();
    let percent = compare(&program, &printed).await;
    assert!((29.0..33.0).contains(&percent), "{percent}");
}
