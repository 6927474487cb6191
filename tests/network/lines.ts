/** The lines of a stream, each as soon as it is whole. */
export async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  let rest = "";
  for await (
    const chunk of stream.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)
  ) {
    const all = (rest + chunk).split("\n");
    rest = all.pop()!;
    yield* all;
  }
  if (rest !== "") yield rest;
}
