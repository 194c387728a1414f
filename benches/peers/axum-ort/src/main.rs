//! axum and ONNX Runtime in one process: how one serves the same network in Rust without Convscope, at its best.
//!
//!     ORT_DYLIB_PATH=libonnxruntime.so axum-ort SETTINGS.json SESSIONS THREADS
//!
//! Small pictures are decoded and evaluated where their request was read, which is quicker than a change of threads; large ones on
//! tokio's blocking pool. `image` decodes, `fast_image_resize` resizes.

use std::io::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use fast_image_resize::images::{CroppedImage, Image};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;
use serde::{Deserialize, Serialize};

/// A body of fewer bytes is a small picture.
const SMALL: usize = 64 << 10;
/// As large as Convscope's.
const LARGEST_BODY: usize = 16 << 20;

#[derive(Deserialize)]
struct Settings {
    model: String,
    height: u32,
    width: u32,
    mean: [f32; 3],
    std: [f32; 3],
    classes: Vec<String>,
}

struct App {
    settings: Settings,
    sessions: Vec<Mutex<Session>>,
}

#[derive(Serialize)]
struct Answer {
    label: String,
    probability: f32,
    /// In class order.
    probabilities: Vec<f32>,
}

type Refusal = (StatusCode, String);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [settings, sessions, threads] = arguments.as_slice() else { return Err("SETTINGS.json SESSIONS THREADS".into()) };
    let settings: Settings = serde_json::from_slice(&std::fs::read(settings)?)?;
    let (sessions, threads): (usize, usize) = (sessions.parse()?, threads.parse()?);
    let sessions = (0..sessions).map(|_| session(&settings.model, threads).map(Mutex::new)).collect::<Result<_, _>>()?;
    let app = Arc::new(App { settings, sessions });
    let routes = Router::new().route("/classify", post(classify)).layer(DefaultBodyLimit::max(LARGEST_BODY)).with_state(app);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    axum::serve(axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true))), routes).await?;
    Ok(())
}

fn session(model: &str, threads: usize) -> Result<Session, Error> {
    let builder = Session::builder().map_err(Error::other)?;
    let builder = builder.with_optimization_level(GraphOptimizationLevel::All).map_err(|e| Error::other(e.to_string()))?;
    let builder = builder.with_intra_threads(threads).map_err(|e| Error::other(e.to_string()))?;
    let mut builder = builder.with_inter_threads(1).map_err(|e| Error::other(e.to_string()))?;
    builder.commit_from_file(model).map_err(Error::other)
}

async fn classify(State(app): State<Arc<App>>, body: Bytes) -> Result<Json<Answer>, Refusal> {
    if body.len() < SMALL {
        return app.answer(&body).map(Json);
    }
    let failed = |e: tokio::task::JoinError| (StatusCode::INTERNAL_SERVER_ERROR, e.to_string());
    tokio::task::spawn_blocking(move || app.answer(&body)).await.map_err(failed)?.map(Json)
}

impl App {
    fn answer(&self, body: &[u8]) -> Result<Answer, Refusal> {
        let picture = image::load_from_memory(body).map_err(|e| (StatusCode::BAD_REQUEST, e.to_string()))?.into_rgb8();
        let failed = |e: String| (StatusCode::INTERNAL_SERVER_ERROR, e);
        let pixels = self.pixels(picture).map_err(failed)?;
        let probabilities = self.evaluate(&pixels).map_err(|e| failed(e.to_string()))?;
        let best = (0..probabilities.len()).max_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b])).unwrap_or(0);
        Ok(Answer { label: self.settings.classes[best].clone(), probability: probabilities[best], probabilities })
    }

    /// The central square at the network's size, row after row, as `(pixel / 255 − mean) / std` in planes.
    fn pixels(&self, picture: RgbImage) -> Result<Vec<f32>, String> {
        let Settings { height, width, mean, std, .. } = &self.settings;
        let samples = if picture.dimensions() == (*width, *height) {
            picture.into_raw()
        } else {
            let (columns, rows) = picture.dimensions();
            let side = columns.min(rows);
            let source = Image::from_vec_u8(columns, rows, picture.into_raw(), PixelType::U8x3).map_err(|e| e.to_string())?;
            let mut target = Image::new(*width, *height, PixelType::U8x3);
            let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
            let square = CroppedImage::new(&source, (columns - side) / 2, (rows - side) / 2, side, side);
            let square = square.map_err(|e| e.to_string())?;
            Resizer::new().resize(&square, &mut target, &options).map_err(|e| e.to_string())?;
            target.into_vec()
        };
        let plane = |channel: usize| {
            let values = samples[channel..].iter().step_by(3);
            values.map(move |&value| (f32::from(value) / 255.0 - mean[channel]) / std[channel])
        };
        Ok((0..3).flat_map(plane).collect())
    }

    fn evaluate(&self, pixels: &[f32]) -> ort::Result<Vec<f32>> {
        let shape = [1, 3, self.settings.height as usize, self.settings.width as usize];
        let mut session = self.session();
        let outputs = session.run(ort::inputs![TensorRef::from_array_view((shape, pixels))?])?;
        Ok(outputs[0].try_extract_tensor::<f32>()?.1.to_vec())
    }

    /// A free one; where none is, the first to become so may be another.
    fn session(&self) -> MutexGuard<'_, Session> {
        let free = self.sessions.iter().find_map(|session| match session.try_lock() {
            Ok(session) => Some(session),
            Err(TryLockError::Poisoned(e)) => Some(e.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        });
        free.unwrap_or_else(|| self.sessions[0].lock().unwrap_or_else(PoisonError::into_inner))
    }
}
