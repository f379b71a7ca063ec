// attnscope's own server: addresses are relative to the page's, which holds the token.

import type { ViewDocument } from "../document";
import { type Ask, type Measures, RemoteSource } from "./remote";

export async function serverSource(): Promise<RemoteSource> {
  const response = await reach("api/document");
  if (!response.ok) throw new Error(await reasonOf(response));
  return new RemoteSource((await response.json()) as ViewDocument, ask, measures);
}

async function measures(): Promise<Measures | null> {
  const response = await reach("api/measures");
  if (response.status === 404) return null;
  if (!response.ok) throw new Error(await reasonOf(response));
  return (await response.json()) as Measures;
}

const ask: Ask = async ({ what, ...parameters }, signal) => {
  const query = new URLSearchParams(Object.entries(parameters).map(([name, value]) => [name, String(value)]));
  const response = await reach(`api/${what}?${query}`, signal);
  if (response.status === 404) return null;
  if (!response.ok) throw new Error(await reasonOf(response));
  return response.arrayBuffer();
};

async function reach(address: string, signal?: AbortSignal): Promise<Response> {
  try {
    return await fetch(address, signal ? { signal } : {});
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Error("The server does not answer. Is `attnscope view` still running?");
  }
}

async function reasonOf(response: Response): Promise<string> {
  const said: unknown = await response.json().catch(() => null);
  const reason = said && typeof said === "object" && "reason" in said ? String(said.reason) : "";
  return reason || `The server answers with status ${response.status}.`;
}
