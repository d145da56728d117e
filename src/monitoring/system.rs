use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, RefreshKind, System};
use tokio::task::spawn_blocking;

use super::disk::DiskUsage;

/// The machine that the server runs on, and its own process. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct SystemProbe(Arc<Mutex<SystemState>>);

#[derive(Debug)]
struct SystemState {
    /// None on a machine that tells nothing.
    system: Option<System>,
    cpu_percent: f64,
}

/// What is known of the machine; what it does not tell is 0. Sizes are in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SystemUsage {
    /// Load of all processors together, between the last two times it was measured.
    pub(super) cpu_percent: f64,
    /// Processors that this process may use.
    pub(super) cpus: usize,
    /// Memory that this process may use: the machine's, or less if its control group says so.
    pub(super) memory_total: u64,
    pub(super) memory_available: u64,
    /// Of the file system at `/`. No other is asked, since one that hangs would hold us up.
    pub(super) disk: DiskUsage,
    pub(super) process: ProcessUsage,
}

/// What is known of this process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProcessUsage {
    pub(super) resident: u64,
    pub(super) virtual_memory: u64,
    pub(super) cpu_seconds: f64,
    pub(super) open_files: usize,
    pub(super) max_open_files: usize,
    /// In seconds since 1970.
    pub(super) started: u64,
}

impl SystemProbe {
    pub(super) fn new() -> Self {
        let kinds = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing().with_usage());
        let system = System::new_with_specifics(kinds).ok();
        Self(Arc::new(Mutex::new(SystemState { system, cpu_percent: 0.0 })))
    }

    /// Measures the load since the last call. If that fails, the figures stay as they are.
    pub(super) async fn measure(&self) {
        let state = self.0.clone();
        drop(spawn_blocking(move || state.lock().measure()).await);
    }

    /// The load as last measured, all else as it is now; zeros if that can't be had.
    pub(super) async fn usage(&self) -> SystemUsage {
        let state = self.0.clone();
        spawn_blocking(move || state.lock().usage()).await.unwrap_or_default()
    }
}

impl SystemState {
    fn measure(&mut self) {
        if let Some(system) = &mut self.system {
            system.refresh_cpu_usage();
            self.cpu_percent = f64::from(system.global_cpu_usage()).clamp(0.0, 100.0);
        }
    }

    fn usage(&mut self) -> SystemUsage {
        let disk = DiskUsage::at(Path::new("/")).unwrap_or_default();
        let cpu_percent = self.cpu_percent;
        let cpus = std::thread::available_parallelism().map_or(1, NonZero::get);
        let base = SystemUsage { cpu_percent, cpus, disk, ..SystemUsage::default() };
        let Some(system) = &mut self.system else { return base };
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let pid = Pid::from_u32(std::process::id());
        let kinds = ProcessRefreshKind::nothing().with_memory().with_cpu();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, kinds);
        let (mut total, mut available) = (system.total_memory(), system.available_memory());
        let process = system.process(pid);
        if let Some(limits) = process.and_then(|process| process.cgroup_limits()) {
            total = total.min(limits.total_memory);
            available = available.min(total.saturating_sub(limits.rss));
        }
        let process = process.map(|process| ProcessUsage {
            resident: process.memory(),
            virtual_memory: process.virtual_memory(),
            cpu_seconds: process.accumulated_cpu_time() as f64 / 1000.0,
            open_files: process.open_files().unwrap_or(0),
            max_open_files: process.open_files_limit().unwrap_or(0),
            started: process.start_time(),
        });
        let process = process.unwrap_or_default();
        SystemUsage { memory_total: total, memory_available: available, process, ..base }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn figures_are_those_of_the_machine() {
        let probe = SystemProbe::new();
        tokio::time::sleep(sysinfo::MINIMUM_CPU_UPDATE_INTERVAL).await;
        probe.measure().await;
        let figures = probe.usage().await;
        assert!((0.0..=100.0).contains(&figures.cpu_percent) && figures.cpus >= 1);
        assert!(figures.memory_total > figures.memory_available && figures.memory_available > 0);
        assert!(figures.disk.total > figures.disk.available && figures.disk.available > 0, "{figures:?}");
        let process = figures.process;
        assert!(process.resident > 1_000_000 && process.virtual_memory > process.resident);
        assert!(process.open_files > 2 && process.max_open_files > process.open_files, "{process:?}");
        assert!(process.started > 1_700_000_000);
    }
}
