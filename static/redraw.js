// What the server cannot read and the browser can, or what is too large, is drawn again on a canvas.

const MOST = 1024; // pixels a side; a network sees far fewer

/** `file` as a PNG of at most `MOST` pixels a side; rejects where the browser cannot draw it either. */
export async function redrawn(file) {
  const image = new Image();
  const source = URL.createObjectURL(file);
  try {
    image.src = source;
    await image.decode();
    const [width, height] = [image.naturalWidth || 512, image.naturalHeight || 512]; // a drawing may have no size of its own
    const share = Math.min(1, MOST / Math.max(width, height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(width * share));
    canvas.height = Math.max(1, Math.round(height * share));
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await png(canvas);
  } finally {
    URL.revokeObjectURL(source);
  }
}

/** What is on `canvas`, as a file. */
export const png = (canvas) =>
  new Promise((done, failed) => canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error("the browser makes no picture of this"))), "image/png"));
