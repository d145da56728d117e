use std::path::Path;

/// How full a file system is, in bytes, as `df` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DiskUsage {
    pub(super) total: u64,
    pub(super) used: u64,
    /// What this server may still take. Together with `used` it may be less than `total`: the rest is reserved.
    pub(super) available: u64,
}

impl DiskUsage {
    /// Of the file system at `path`; `None` if it can't be asked.
    pub(super) fn at(path: &Path) -> Option<Self> {
        let disk = rustix::fs::statvfs(path).ok()?;
        Some(Self::of_blocks(disk.f_frsize, disk.f_blocks, disk.f_bfree, disk.f_bavail))
    }

    /// Of a file system that has so many blocks of this size, of which so many are free, and so many free to everybody.
    fn of_blocks(size: u64, blocks: u64, free: u64, available: u64) -> Self {
        let bytes = |blocks: u64| blocks.saturating_mul(size);
        Self { total: bytes(blocks), used: bytes(blocks.saturating_sub(free)), available: bytes(available) }
    }

    /// Percent of what is not reserved, to one decimal place as the original told it.
    pub(super) fn percent(self) -> f64 {
        match self.used.saturating_add(self.available) {
            0 => 0.0,
            usable => (1000.0 * self.used as f64 / usable as f64).round() / 10.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reserved_blocks_are_neither_used_nor_available() {
        // 1000 blocks, 100 of them used, 600 reserved for somebody else.
        let disk = DiskUsage::of_blocks(4096, 1000, 900, 300);
        assert_eq!(disk, DiskUsage { total: 4_096_000, used: 409_600, available: 1_228_800 });
        assert_eq!(disk.percent(), 25.0);
        assert_eq!(DiskUsage::of_blocks(4096, 1000, 667, 667).percent(), 33.3);
        assert_eq!(DiskUsage::of_blocks(4096, 1000, 50, 0).percent(), 100.0, "only root may still write");
        assert_eq!(DiskUsage::of_blocks(4096, 0, 0, 0).percent(), 0.0, "a file system without a size, such as /proc");
    }

    proptest! {
        #[test]
        fn whatever_a_file_system_tells_makes_a_percentage(size: u64, blocks: u64, free: u64, available: u64) {
            let percent = DiskUsage::of_blocks(size, blocks, free, available).percent();
            prop_assert!((0.0..=100.0).contains(&percent), "{}", percent);
        }
    }
}
