import { emptyState, heading } from "../ui.js";

export default {
  title: "Videos",
  path: "videos",
  mount(root) {
    root.append(heading("Videos"), emptyState("Not here yet", "This view is still to come."));
  },
};
