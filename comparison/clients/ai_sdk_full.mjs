import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { streamText } from "ai";

export async function answer(question, emit) {
  const provider = createOpenAICompatible({ name: "p", baseURL: question.base_url, apiKey: question.key });
  const { fullStream } = streamText({
    model: provider("m"), prompt: question.text, maxRetries: 0, timeout: { chunkMs: question.timeout_s * 1000 },
    onError: () => {},
  });
  for await (const part of fullStream) {
    if (part.type === "text-delta") emit(part.text);
    if (part.type === "error") throw part.error;
    if (part.type === "abort") throw new Error("aborted");
    if (part.type === "finish" && part.finishReason === "error") throw new Error("finish reason error");
  }
}
