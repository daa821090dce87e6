import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { streamText } from "ai";

export async function answer(question, emit) {
  const provider = createOpenAICompatible({ name: "p", baseURL: question.base_url, apiKey: question.key });
  const { textStream } = streamText({
    model: provider("m"), prompt: question.text, maxRetries: 0, timeout: { chunkMs: question.timeout_s * 1000 },
    onError: () => {},
  });
  for await (const text of textStream) emit(text);
}
