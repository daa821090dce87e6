import { createRoot } from "react-dom/client";
import "../../page/chat.css";
import { Chat } from "./chat.jsx";

createRoot(document.body).render(<Chat />);
