// What a layer's kind is called, and what it does, in one plain sentence.

const WORDS = {
  conv2d: ["convolution", "One small filter a map, slid over everything above. Blue: its pattern is there. Red: its opposite is."],
  batch_norm2d: ["batch norm", "Each map shifted and scaled to a common range, so that later layers train well."],
  relu: ["ReLU", "Negative values become 0, the rest pass unchanged."],
  gelu: ["GELU", "Positive values pass, negative ones are pressed softly towards 0."],
  silu: ["SiLU", "Positive values pass, negative ones are pressed softly towards 0."],
  max_pool2d: ["max pooling", "The strongest value of each window: smaller, and less particular about the exact place."],
  avg_pool2d: ["average pooling", "The mean of each window: smaller and smoother."],
  adaptive_avg_pool2d: ["average pooling", "The mean over each region, whatever the size above."],
  dropout: ["dropout", "Changes nothing here. Only in training it blanks values at random, so that no single one is relied on."],
  flatten: ["flatten", "The same numbers, laid out in one row."],
  linear: ["fully connected", "Each number is a weighted sum of all numbers above."],
  add: ["add", "The sum of the layer above and an earlier one: a shortcut past what lies between."],
};

/** `["convolution", "what it does"]`; the kind itself where there are no words. */
export const words = (kind) => WORDS[kind] ?? [kind, ""];

/** What is said of the last layer beyond its kind. */
export const LAST = "One score a class. Softmax turns them into the probabilities at the top: all positive, together 1.";
