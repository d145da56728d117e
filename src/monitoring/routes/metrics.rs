use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::monitoring::MonitoringService;
use crate::monitoring::system::SystemUsage;
use crate::web::JsonReply;

const MIB: f64 = 1024.0 * 1024.0;
const GIB: f64 = 1024.0 * MIB;

/// Figures of the machine, and what is configured.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "timestamp": "2026-11-23T08:15:00.123Z", "uptime_seconds": 4711.2,
    "system": {
        "cpu": {"percent": 12.5, "count": 4},
        "memory": {"total_mb": 7965.3, "available_mb": 5120.0, "used_mb": 2845.3, "percent": 35.7},
        "disk": {"total_gb": 49.1, "used_gb": 20.1, "free_gb": 29.0, "percent": 40.9}
    },
    "process": {"resident_mb": 24.5, "cpu_seconds": 3.2, "open_files": 17},
    "configuration": {"llm_configured": true, "redis_configured": false, "postgres_configured": false, "agents_count": 2,
        "datasources_count": 1, "tools_count": 0}
}))]
pub(super) struct MonitoringMetrics {
    #[schema(format = DateTime)]
    timestamp: String,
    uptime_seconds: f64,
    system: SystemMetrics,
    process: ProcessMetrics,
    configuration: ConfiguredResources,
}

/// The machine, as far as this server may use it.
#[derive(Serialize, ToSchema)]
struct SystemMetrics {
    cpu: CpuMetrics,
    memory: MemoryMetrics,
    disk: DiskMetrics,
}

/// The processors.
#[derive(Serialize, ToSchema)]
struct CpuMetrics {
    /// Load of all processors of the machine over the last seconds, whoever causes it.
    percent: f64,
    /// How many this server may use.
    count: usize,
}

/// Memory, in MiB.
#[derive(Serialize, ToSchema)]
struct MemoryMetrics {
    /// Of the machine, or of the server's control group if that is less.
    total_mb: f64,
    available_mb: f64,
    used_mb: f64,
    percent: f64,
}

/// The file system at `/`, in GiB, as `df` counts.
#[derive(Serialize, ToSchema)]
struct DiskMetrics {
    total_gb: f64,
    used_gb: f64,
    /// What the server may still take. With `used_gb` it may be less than the total: the rest is reserved.
    free_gb: f64,
    /// Of what is not reserved.
    percent: f64,
}

/// The server's own process.
#[derive(Serialize, ToSchema)]
struct ProcessMetrics {
    /// In MiB.
    resident_mb: f64,
    cpu_seconds: f64,
    open_files: usize,
}

/// What is configured.
#[derive(Serialize, ToSchema)]
struct ConfiguredResources {
    llm_configured: bool,
    redis_configured: bool,
    postgres_configured: bool,
    agents_count: usize,
    datasources_count: usize,
    tools_count: usize,
}

/// Figures of the machine
///
/// Processor, memory, disk, and how much is configured. For Prometheus there is `/metrics`.
#[utoipa::path(get, path = "/api/monitoring/metrics", tag = "monitoring", operation_id = "monitoring_metrics",
    responses((status = 200, description = "The figures", body = MonitoringMetrics)))]
pub(super) async fn metrics(State(monitoring): State<MonitoringService>) -> JsonReply<MonitoringMetrics> {
    let (figures, settings) = (monitoring.system.usage().await, monitoring.settings());
    JsonReply::ok(MonitoringMetrics {
        timestamp: monitoring.timestamp(),
        uptime_seconds: monitoring.uptime_seconds(),
        system: system(&figures),
        process: ProcessMetrics {
            resident_mb: figures.process.resident as f64 / MIB,
            cpu_seconds: figures.process.cpu_seconds,
            open_files: figures.process.open_files,
        },
        configuration: ConfiguredResources {
            llm_configured: settings.llm.effective().base_url.is_some(),
            redis_configured: settings.storage.redis_url.is_some(),
            postgres_configured: settings.storage.postgres_dsn.is_some(),
            agents_count: settings.agents.len(),
            datasources_count: settings.datasources.len(),
            tools_count: settings.tools.len(),
        },
    })
}

fn system(figures: &SystemUsage) -> SystemMetrics {
    let percent = |part: u64, whole: u64| if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 };
    let used = figures.memory_total.saturating_sub(figures.memory_available);
    SystemMetrics {
        cpu: CpuMetrics { percent: figures.cpu_percent, count: figures.cpus },
        memory: MemoryMetrics {
            total_mb: figures.memory_total as f64 / MIB,
            available_mb: figures.memory_available as f64 / MIB,
            used_mb: used as f64 / MIB,
            percent: percent(used, figures.memory_total),
        },
        disk: DiskMetrics {
            total_gb: figures.disk.total as f64 / GIB,
            used_gb: figures.disk.used as f64 / GIB,
            free_gb: figures.disk.available as f64 / GIB,
            percent: figures.disk.percent(),
        },
    }
}
